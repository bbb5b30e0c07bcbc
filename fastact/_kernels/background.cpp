#include "background.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <new>

#include <pthread.h>
#include <signal.h>

#if defined(__linux__)
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace fastact {
namespace {

/* A compiler needs more than the 128 KiB that musl gives a thread. */
constexpr std::size_t STACK = std::size_t{16} << 20;
constexpr std::chrono::seconds LONGEST_WAIT{60};

struct Background {
    std::mutex mutex;
    std::condition_variable news;
    Work work = nullptr;
    bool is_running = false;
    bool is_wanted = false;
};

/* Like the pool: static storage without a destructor, and a new one in a forked child. */
alignas(Background) unsigned char storage[sizeof(Background)];
Background* background = nullptr;
std::atomic<bool> is_closed{false};

std::atomic<Launcher> launcher{nullptr};
std::atomic<bool> is_taken{false};
bool is_gate_closed = false;
int launcher_threads = 1;

/* In a child Numba's threads do not exist, and its regions abort or hang. */
void renew()
{
    background = new (storage) Background;
    launcher = nullptr;
    is_taken = false;
}

const bool is_ready = [] {
    renew();
    pthread_atfork(nullptr, nullptr, renew);
    return true;
}();

/* The callers' work comes first. */
void be_nice()
{
#if defined(__linux__)
    setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), 10);
#endif
}

extern "C" void* fastact_background(void*)
{
    be_nice();
    std::unique_lock<std::mutex> lock(background->mutex);
    while (background->is_wanted && !is_closed) {
        background->is_wanted = false;
        lock.unlock();
        background->work();
        lock.lock();
    }
    background->is_running = false;
    background->news.notify_all();
    return nullptr;
}

bool start_thread()
{
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0)
        return false;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK);
    sigset_t all, callers;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &callers);
    pthread_t thread;
    const bool is_started = pthread_create(&thread, &attributes, fastact_background, nullptr) == 0;
    pthread_sigmask(SIG_SETMASK, &callers, nullptr);
    pthread_attr_destroy(&attributes);
    return is_started;
}

}

void start_work(Work work) noexcept
{
    std::lock_guard<std::mutex> lock(background->mutex);
    if (is_closed)
        return;
    background->work = work;
    background->is_wanted = true;
    if (!background->is_running)
        background->is_running = start_thread();
}

void wait_for_work(const int* status, int waiting) noexcept
{
    std::unique_lock<std::mutex> lock(background->mutex);
    background->news.wait_for(lock, LONGEST_WAIT, [status, waiting] {
        return __atomic_load_n(status, __ATOMIC_ACQUIRE) != waiting || !background->is_running;
    });
}

void announce_work() noexcept
{
    std::lock_guard<std::mutex> lock(background->mutex);
    background->news.notify_all();
}

bool close_work() noexcept
{
    is_closed = true;
    return !is_at_work();
}

bool is_at_work() noexcept
{
    std::lock_guard<std::mutex> lock(background->mutex);
    return background->is_running;
}

void set_launcher(Launcher new_launcher, int most_threads) noexcept
{
    launcher_threads = most_threads;
    launcher = new_launcher;
}

bool has_launcher() noexcept { return launcher.load() != nullptr; }

Entry run_in_numba(Task task, void* context, std::ptrdiff_t chunks, int threads) noexcept
{
    const Launcher launch = launcher.load(std::memory_order_acquire);
    if (!launch)
        return no_launcher;
    if (is_taken.exchange(true, std::memory_order_acquire))
        return refused;
    std::ptrdiff_t next = 0;
    launch(task, context, chunks, &next, std::min<std::ptrdiff_t>(std::min(threads, launcher_threads), chunks));
    is_taken.store(false, std::memory_order_release);
    return done;
}

bool close_gate() noexcept
{
    launcher = nullptr;
    if (!is_gate_closed)
        is_gate_closed = !is_taken.exchange(true);
    return is_gate_closed;
}

}
