// Runs shell scripts against the example programs, in a folder that is empty at first and gone afterwards.
#pragma once

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <sys/wait.h>
#include <vector>

namespace eddy_test {

inline std::string contents(const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

inline std::vector<std::string> split(const std::string& text, char at = '\n') {
    std::vector<std::string> parts;
    std::istringstream in(text);
    for (std::string s; std::getline(in, s, at);)
        parts.push_back(s);
    return parts;
}

class shell {
public:
    shell() {
        std::string pattern = (std::filesystem::temp_directory_path() / "eddy-test-XXXXXX").string();
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        folder = pattern;
    }
    shell(const shell&) = delete;
    ~shell() { std::filesystem::remove_all(folder); }

    // Runs the script in the folder with $EDDY_EXAMPLES in its PATH and an empty standard input; gives its exit status.
    int run(const std::string& script) {
        std::ofstream(folder / ".script")
            << "PATH=$EDDY_EXAMPLES:$PATH\n"
               // Waits for a condition, ten seconds at most.
               "until_true() { n=0; until eval \"$1\"; do\n"
               "  n=$((n + 1)); [ $n -lt 1000 ] || { echo \"never: $1\" >&2; return 1; }\n"
               "  sleep 0.01; done; }\n"
               // Whether one of these processes runs; a zombie does not.
               "alive() { for p; do case $(sed 's/.*) //' /proc/$p/stat 2>/dev/null) in\n"
               "  ''|Z*) ;; *) return 0;; esac; done; return 1; }\n"
            << script << "\n";
        const std::string command = "cd '" + folder.string() + "' && exec sh .script </dev/null >.out 2>.err";
        const int status = std::system(command.c_str());
        out = contents(folder / ".out");
        err = contents(folder / ".err");
        return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
    }
    // Of a file in the folder.
    std::string file(const std::string& name) const { return contents(folder / name); }

    std::filesystem::path folder;
    std::string out, err;
};

} // namespace eddy_test
