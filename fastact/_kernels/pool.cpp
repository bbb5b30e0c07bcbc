#include "pool.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <new>

#include <pthread.h>
#include <signal.h>

#if defined(__linux__)
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "environment.h"

namespace fastact {
namespace {

constexpr int MOST_WORKERS = 256;
/* A worker that still spins when the next job comes makes a job of 20 us 1.7 times as fast; one that must be woken
 * pays from 60 us on. Longer spinning would be felt by the host's other threads. */
constexpr std::chrono::microseconds SPIN_TIME{20};

std::atomic<int> default_threads{1};
thread_local int local_threads = 0;
thread_local bool is_inside_task = false;

#if defined(__linux__)

/* Where a thread runs. The kernel likes to wake a worker on the processor of the thread that wakes it, and leaves both
 * there for milliseconds: on two idle processors, a job of 320 us took two threads 357 us, and 204 us with workers
 * that give way. */
class Place {
public:
    Place() : thread(static_cast<pid_t>(syscall(SYS_gettid))), processor(sched_getcpu()) {}

    /* Move the calling thread to any other processor that the thread of this place may use. */
    void give_way() const
    {
        cpu_set_t allowed;
        if (sched_getcpu() != processor || sched_getaffinity(thread, sizeof allowed, &allowed) != 0)
            return;
        CPU_CLR(processor, &allowed);
        if (CPU_COUNT(&allowed) > 0)
            sched_setaffinity(0, sizeof allowed, &allowed);
    }

private:
    pid_t thread;
    int processor;
};

#else

class Place {
public:
    void give_way() const {}
};

#endif

/* Lives on the submitter's stack. `helpers` changes under the pool's mutex only; it is atomic to be watched. */
struct Job {
    Task task;
    void* context;
    std::ptrdiff_t chunks;
    int wanted;
    std::atomic<std::ptrdiff_t> next{0};
    std::atomic<int> helpers{0};
    std::condition_variable last_helper_left;
    Place submitter;
    Job* previous = nullptr;
    Job* following = nullptr;

    Job(Task task, void* context, std::ptrdiff_t chunks, int wanted)
        : task(task), context(context), chunks(chunks), wanted(wanted)
    {
    }

    bool is_open() const { return next.load(std::memory_order_relaxed) < chunks && helpers < wanted; }

    void take_chunks()
    {
        is_inside_task = true;
        for (;;) {
            std::ptrdiff_t chunk = next.fetch_add(1, std::memory_order_relaxed);
            if (chunk >= chunks)
                break;
            task(context, chunk);
        }
        is_inside_task = false;
    }
};

void pause()
{
#if defined(__SSE2__)
    _mm_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

template <class Condition> bool spin_until(Condition is_met)
{
    const auto end = std::chrono::steady_clock::now() + SPIN_TIME;
    do {
        if (is_met())
            return true;
        pause();
    } while (std::chrono::steady_clock::now() < end);
    return false;
}

class Pool {
public:
    void run(Job& job)
    {
        submit(job);
        job.take_chunks();
        spin_until([&job] { return job.helpers == 0; });
        withdraw(job);
    }

    int count()
    {
        std::lock_guard<std::mutex> lock(mutex);
        return workers;
    }

    void serve()
    {
        std::unique_lock<std::mutex> lock(mutex);
        for (;;) {
            if (Job* job = open_job())
                help(*job, lock);
            else
                rest(lock);
        }
    }

private:
    std::mutex mutex;
    std::condition_variable news;
    Job* jobs = nullptr;
    std::atomic<unsigned> submissions{0};
    int workers = 0;
    int spinning = 0;
    int parked = 0;

    void submit(Job& job)
    {
        std::unique_lock<std::mutex> lock(mutex);
        link(job);
        submissions += 1;
        int missing = std::max(0, std::min(job.wanted, MOST_WORKERS) - workers);
        workers += missing;
        int to_wake = std::min(parked, job.wanted - missing - spinning);
        lock.unlock();

        for (; to_wake > 0; --to_wake)
            news.notify_one();
        while (missing > 0 && start_worker())
            --missing;
        if (missing > 0) {
            lock.lock();
            workers -= missing;
        }
    }

    /* A helper announces its leaving under the mutex: when it is free, no helper will touch the job any more. */
    void withdraw(Job& job)
    {
        std::unique_lock<std::mutex> lock(mutex);
        unlink(job);
        job.last_helper_left.wait(lock, [&job] { return job.helpers == 0; });
    }

    void help(Job& job, std::unique_lock<std::mutex>& lock)
    {
        job.helpers += 1;
        lock.unlock();
        job.submitter.give_way();
        job.take_chunks();
        lock.lock();
        job.helpers -= 1;
        if (job.helpers == 0)
            job.last_helper_left.notify_one();
    }

    void rest(std::unique_lock<std::mutex>& lock)
    {
        const unsigned seen = submissions;
        auto is_news = [this, seen] { return submissions != seen; };
        spinning += 1;
        lock.unlock();
        spin_until(is_news);
        lock.lock();
        spinning -= 1;
        parked += 1;
        news.wait(lock, is_news);
        parked -= 1;
    }

    Job* open_job() const
    {
        Job* job = jobs;
        while (job && !job->is_open())
            job = job->following;
        return job;
    }

    void link(Job& job)
    {
        job.following = jobs;
        if (jobs)
            jobs->previous = &job;
        jobs = &job;
    }

    void unlink(Job& job)
    {
        (job.previous ? job.previous->following : jobs) = job.following;
        if (job.following)
            job.following->previous = job.previous;
    }

    static bool start_worker();
};

/* Static storage without a destructor: workers outlive every static object at exit, and a condition variable with
 * waiters, as a forked child inherits it, must not be destructed. */
alignas(Pool) unsigned char storage[sizeof(Pool)];
Pool* pool = nullptr;

void renew() { pool = new (storage) Pool; }

const bool is_ready = [] {
    renew();
    pthread_atfork(nullptr, nullptr, renew);
    return true;
}();

extern "C" void* fastact_worker(void*)
{
    fastact_enter_environment();
    pool->serve();
    return nullptr;
}

/* Signals belong to the host's threads: a worker is born with all of them blocked. */
bool Pool::start_worker()
{
    pthread_attr_t detached;
    if (pthread_attr_init(&detached) != 0)
        return false;
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    sigset_t all, callers;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &callers);
    pthread_t thread;
    const bool is_started = pthread_create(&thread, &detached, fastact_worker, nullptr) == 0;
    pthread_sigmask(SIG_SETMASK, &callers, nullptr);
    pthread_attr_destroy(&detached);
    return is_started;
}

}

void run(Task task, void* context, std::ptrdiff_t chunks, int threads) noexcept
{
    const int wanted = static_cast<int>(std::min<std::ptrdiff_t>(threads, chunks)) - 1;
    if (wanted > 0 && !is_inside_task) {
        Job job(task, context, chunks, wanted);
        pool->run(job);
        return;
    }
    for (std::ptrdiff_t chunk = 0; chunk < chunks; ++chunk)
        task(context, chunk);
}

int started() noexcept { return pool->count(); }

void set_default_threads(int threads) noexcept { default_threads = threads; }

void set_local_threads(int threads) noexcept { local_threads = threads; }

int get_local_threads() noexcept { return local_threads; }

int get_threads() noexcept { return local_threads ? local_threads : default_threads.load(); }

}
