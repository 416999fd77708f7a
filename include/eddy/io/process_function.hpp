// Functions that the workers of a process_pool can run, and the beginning of a worker's main.
//
// A worker is this program started again; it finds the same functions in the same table, which is made before main()
// from the EDDY_PROCESS_FUNCTION lines. So nothing but an index goes over the wire, and whether both tables are the
// same is asked when a worker starts.
#pragma once

#include <eddy/io/serialize.hpp>

#include <memory>
#include <span>
#include <tuple>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

namespace eddy {

// The first line of main() in a program that uses process_pool:
//
//     int main(int argc, char** argv) {
//         eddy::process_worker_main(argc, argv);
//         return eddy::run_main(main_task());
//     }
//
// In an ordinary process it returns at once. In a worker it runs jobs until the pool has gone, and never returns. There
// it first closes every descriptor but standard input, output, error and its own: what was not close-on-exec in the
// parent does not live on in its workers (nor does what a constructor before main() opened).
void process_worker_main(int argc, char** argv);

namespace detail {

template <class F>
struct process_function_traits;
template <class R, class... P>
struct process_function_traits<R (*)(P...)> {
    static_assert(((!std::is_lvalue_reference_v<P> || std::is_const_v<std::remove_reference_t<P>>) && ...),
                  "a function of a process_pool gets copies: its parameters can't be references to what it may change");
    static_assert((serializable<received_t<P>> && ...),
                  "a parameter of this function has no eddy::serializer: specialise it (eddy/io/serialize.hpp)");
    static_assert(std::is_void_v<R> || serializable<R>,
                  "the result of this function has no eddy::serializer, or is a reference: specialise eddy::serializer "
                  "(eddy/io/serialize.hpp), return a value");
    using address_type = R (*)(P...);

    static void call(void (*address)(), byte_reader& in, byte_writer& out) {
        std::tuple<received_t<P>...> arguments{in.template get<received_t<P>>()...};
        in.finish();
        const auto f = reinterpret_cast<address_type>(address);
        std::apply(
            [&](received_t<P>&... a) {
                if constexpr (std::is_void_v<R>)
                    f(static_cast<pass_t<P>>(a)...);
                else
                    out.put(f(static_cast<pass_t<P>>(a)...));
            },
            arguments);
    }

private:
    // By value and by rvalue: moved in. Views look at what was received.
    template <class P1>
    using pass_t = std::conditional_t<std::is_same_v<received_t<P1>, std::remove_cvref_t<P1>>,
                                      std::conditional_t<std::is_lvalue_reference_v<P1>, P1, std::remove_cvref_t<P1>&&>,
                                      std::remove_cvref_t<P1>>;
};
template <class R, class... P>
struct process_function_traits<R (*)(P...) noexcept> : process_function_traits<R (*)(P...)> {};

// One EDDY_PROCESS_FUNCTION line; lives as long as the program, or the library that it is in.
class process_function {
public:
    template <class F>
    process_function(F* f, const char* name, const char* file, unsigned line) noexcept
        : address_(reinterpret_cast<void (*)()>(f)),
          type_(typeid(typename process_function_traits<F*>::address_type).name()),
          call_(&process_function_traits<F*>::call), name_(name), file_(file), line_(line) {
        link();
    }
    process_function(const process_function&) = delete;
    ~process_function();

    [[nodiscard]] const char* name() const noexcept { return name_; }
    void call(byte_reader& in, byte_writer& out) const { call_(address_, in, out); }

private:
    friend class process_function_table;
    void link() noexcept;
    void (*address_)();
    const char* type_;
    void (*call_)(void (*)(), byte_reader&, byte_writer&);
    const char* name_;
    const char* file_;
    unsigned line_;
    process_function* next_ = nullptr;
};

// The functions there are, in an order that is the same in every process of this program.
class process_function_table {
public:
    // Of now. Any thread.
    static std::shared_ptr<const process_function_table> make();

    [[nodiscard]] std::size_t size() const noexcept { return functions_.size(); }
    // Of everything that both ends must have in common.
    [[nodiscard]] std::uint64_t hash() const noexcept { return hash_; }
    [[nodiscard]] const process_function& at(std::size_t index) const { return *functions_.at(index); }
    // Its index; size() when there is none. O(log n).
    [[nodiscard]] std::size_t find(void (*address)(), const char* type) const noexcept;

private:
    struct place {
        void (*address)();
        const char* type;
        std::size_t index;
    };
    std::vector<const process_function*> functions_;
    std::vector<place> places_; // by address
    std::uint64_t hash_ = 0;
};

} // namespace detail

#define EDDY_DETAIL_JOIN_2(a, b) a##b
#define EDDY_DETAIL_JOIN(a, b) EDDY_DETAIL_JOIN_2(a, b)

// Lets workers run a free function: one line at namespace scope, in the source file where the function is, or in any
// other of the program that sees it. Once for each function. Overloads need a cast or another name.
#define EDDY_PROCESS_FUNCTION(...)                                                                                     \
    static const ::eddy::detail::process_function EDDY_DETAIL_JOIN(eddy_process_function_, __LINE__)(                  \
        __VA_ARGS__, #__VA_ARGS__, __FILE__, __LINE__);

} // namespace eddy
