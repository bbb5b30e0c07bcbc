#include "background.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <new>

#include <pthread.h>
#include <signal.h>

namespace fastact {
namespace {

/* A compiler needs more than the 128 KiB that musl gives a thread. */
constexpr std::size_t STACK = std::size_t{16} << 20;
/* For whoever waits with a lock that the compiler turns out to need. */
constexpr std::chrono::seconds LONGEST_WAIT{20};

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
thread_local bool is_background = false;

void renew() { background = new (storage) Background; }

const bool is_ready = [] {
    renew();
    pthread_atfork(nullptr, nullptr, renew);
    return true;
}();

/* As nice as everybody else: a nicer thread, on a busy machine, made exits and forks wait 20 s for it instead of 1. */
extern "C" void* fastact_background(void*)
{
    is_background = true;
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
    if (is_background)
        return;
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

}
