// That this program could be compiled and linked is the test: the other sources are made by
// header_sources.
int main() { return 0; }
