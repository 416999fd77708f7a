// Every picture of a folder is made smaller in a pool of threads, with progress: files and pixels are work for
// threads, what is known about it belongs to the loop.
#include <eddy/eddy.hpp>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <unistd.h>
#include <vector>

namespace fs = std::filesystem;

void write_picture(const fs::path& file, std::size_t width, std::size_t height, const std::string& pixels) {
    std::ofstream(file, std::ios::binary) << "P6 " << width << ' ' << height << " 255\n" << pixels;
}

// Every fourth pixel of every fourth line, three bytes each; gives the size of the thumbnail.
std::size_t shrink(const fs::path& file) {
    std::ifstream in(file, std::ios::binary);
    std::string magic, depth;
    std::size_t width = 0, height = 0;
    if (!(in >> magic >> width >> height >> depth) || magic != "P6")
        throw std::runtime_error("no picture: " + file.string());
    const std::string pixels(std::istreambuf_iterator<char>(in.ignore(1)), {});
    std::string small;
    for (std::size_t y = 0; y < height; y += 4)
        for (std::size_t x = 0; x < width; x += 4)
            small.append(pixels, (y * width + x) * 3, 3);
    write_picture(fs::path(file).replace_extension(".small.ppm"), (width + 3) / 4, (height + 3) / 4, small);
    return small.size();
}

eddy::task<void> main_task(fs::path folder) {
    const std::vector<fs::path> files(fs::directory_iterator(folder), fs::directory_iterator{});
    eddy::thread_pool pool(4, eddy::thread_pool_options().name("thumbnails"));
    std::size_t done = 0;
    auto all = eddy::map(pool, files, [&](const fs::path& file) {
        const std::size_t size = shrink(file);
        eddy::from_thread::post([&] { std::printf("%zu of %zu\n", ++done, files.size()); }); // on the loop's thread
        return size;
    });
    std::size_t bytes = 0;
    const std::vector<std::size_t> sizes = co_await all;
    for (std::size_t n : sizes)
        bytes += n;
    std::printf("%zu bytes of thumbnails\n", bytes);
    co_await pool.close();
}

int main() {
    const fs::path folder = fs::temp_directory_path() / ("eddy-thumbnails-" + std::to_string(getpid()));
    fs::create_directory(folder);
    for (std::size_t i = 1; i <= 5; ++i)
        write_picture(folder / (std::to_string(i) + ".ppm"), 100 * i, 80, std::string(100 * i * 80 * 3, 'x'));
    const int status = eddy::run_main(main_task(folder));
    fs::remove_all(folder);
    return status;
}
