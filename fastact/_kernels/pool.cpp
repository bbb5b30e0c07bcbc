#include "pool.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
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

using Clock = std::chrono::steady_clock;

constexpr int MOST_WORKERS = 256;
constexpr int MOST_SHARES = 32;
constexpr std::size_t CACHE_LINE = 64;
/* How long a thread that has nothing to do looks for news before it sleeps: about as long as it takes to wake it, and
 * several times the Python of a call. Two processes of two threads each that do 70 us of NumPy between calls made 5100 to
 * 6000 calls a second with 50 us, 3900 to 4900 with 100. */
constexpr Clock::duration SPIN_TIME = std::chrono::microseconds{50};
/* What is left of a job when it is worth the waking of a sleeping worker, which takes 20 us of the submitter's time and
 * 50 us until the worker comes. */
constexpr Clock::duration WORTH_WAKING = std::chrono::microseconds{80};
/* How often a thread tries to get a mutex, which is held for some 50 ns, before it sleeps. */
constexpr int TRIES = 100;

std::atomic<int> default_threads{1};
std::atomic<int> most_processors{1};
thread_local int local_threads = 0;
thread_local bool is_inside_task = false;

#if defined(__linux__)

/* Where a thread runs. The kernel likes to wake a worker on the processor of the thread that wakes it, where it may wait
 * for milliseconds: on two idle processors, a job of 320 us took two threads 357 us, and 204 us with workers that are
 * sent to another one. */
class Place {
public:
    Place() : thread(static_cast<pid_t>(syscall(SYS_gettid))), processor(sched_getcpu()) {}

    void update() { processor = sched_getcpu(); }

    bool shares_processor_with(const Place& other) const { return processor == other.processor; }

    /* Let a thread, which is here too, use any processor that this one may use but this. */
    void send_away(const Place& other) const
    {
        cpu_set_t allowed;
        if (sched_getaffinity(thread, sizeof allowed, &allowed) != 0)
            return;
        CPU_CLR(processor, &allowed);
        if (CPU_COUNT(&allowed) > 0)
            sched_setaffinity(other.thread, sizeof allowed, &allowed);
    }

private:
    pid_t thread;
    int processor;
};

#else

class Place {
public:
    void update() {}
    bool shares_processor_with(const Place&) const { return false; }
    void send_away(const Place&) const {}
};

#endif

/* Chunks that belong to one thread, in its cache since the last job of that kind, until another one has nothing left. */
struct alignas(CACHE_LINE) Share {
    std::atomic<std::ptrdiff_t> next;
    std::ptrdiff_t end;
};

/* Lives on the submitter's stack. `helpers` changes under the pool's mutex only; it is atomic to be watched. */
struct Job {
    Task task;
    void* context;
    std::ptrdiff_t chunks;
    int wanted;
    int count;
    std::atomic<int> helpers{0};
    std::atomic<bool> is_handed_out{false};
    std::condition_variable last_helper_left;
    Place submitter;
    Job* previous = nullptr;
    Job* following = nullptr;
    Share shares[MOST_SHARES];

    Job(Task task, void* context, std::ptrdiff_t chunks, int wanted)
        : task(task), context(context), chunks(chunks), wanted(wanted), count(std::min(wanted + 1, MOST_SHARES))
    {
        for (int k = 0; k < count; ++k) {
            shares[k].next.store(first_of(k), std::memory_order_relaxed);
            shares[k].end = first_of(k + 1);
        }
    }

    bool is_open() const { return !is_handed_out.load(std::memory_order_relaxed) && helpers < wanted; }

    /* Compute the chunks of the thread's own share, then what is left of the others. */
    void take_chunks(int thread)
    {
        for (int k = 0; k < count; ++k)
            while (take_chunk((thread + k) % count)) {
            }
        is_handed_out.store(true, std::memory_order_relaxed);
    }

    bool take_chunk(int share)
    {
        const std::ptrdiff_t chunk = shares[share].next.fetch_add(1, std::memory_order_relaxed);
        if (chunk >= shares[share].end)
            return false;
        is_inside_task = true;
        task(context, chunk);
        is_inside_task = false;
        return true;
    }

private:
    std::ptrdiff_t first_of(int share) const
    {
        return chunks / count * share + std::min<std::ptrdiff_t>(share, chunks % count);
    }
};

/* Lives on the worker's stack, for ever. */
struct Worker {
    int number;
    Place place{};
    bool is_called = false;
    std::condition_variable call;
    Worker* next_parked = nullptr;
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
    const auto end = Clock::now() + SPIN_TIME;
    do {
        if (is_met())
            return true;
        pause();
    } while (Clock::now() < end);
    return false;
}

class Pool {
public:
    void run(Job& job)
    {
        const int missing = submit(job);
        if (missing > 0)
            wake(job, missing);
        job.take_chunks(0);
        if (job.helpers != 0 && has_room_for(0))
            spin_until([&job] { return job.helpers == 0; });
        withdraw(job);
    }

    int count()
    {
        std::lock_guard<std::mutex> lock(mutex);
        return workers;
    }

    void serve(int number)
    {
        Worker worker{number};
        std::unique_lock<std::mutex> lock(mutex);
        for (;;) {
            if (Job* job = open_job())
                help(*job, worker, lock);
            else
                rest(worker, lock);
        }
    }

private:
    std::mutex mutex;
    Job* jobs = nullptr;
    Worker* parked = nullptr;
    /* What is watched by spinning threads, away from what changes with each job. */
    alignas(CACHE_LINE) std::atomic<unsigned> submissions{0};
    /* All change under the mutex. Those that are running or may be: with a job of their own, helping, or spinning. */
    alignas(CACHE_LINE) std::atomic<int> submitters{0};
    std::atomic<int> helping{0};
    std::atomic<int> spinning{0};
    int workers = 0;
    int parked_workers = 0;
    std::atomic<Clock::time_point> last_end{Clock::time_point()};

    /* Whether so many threads more may spin: each has a processor for itself then. */
    bool has_room_for(int more) const
    {
        return std::max<int>(submitters, 1) + helping + spinning + more <= most_processors;
    }

    /* A mutex that sleeps is no match for a job of 20 us: both sides would often meet at it. */
    void acquire(std::unique_lock<std::mutex>& lock)
    {
        for (int k = has_room_for(0) ? TRIES : 0; k > 0; --k) {
            if (lock.try_lock())
                return;
            pause();
        }
        lock.lock();
    }

    /* Returns how many workers more the job could do with that are parked. */
    int submit(Job& job)
    {
        std::unique_lock<std::mutex> lock(mutex, std::defer_lock);
        acquire(lock);
        link(job);
        submitters += 1;
        submissions += 1;
        int missing = std::max(0, std::min(job.wanted, MOST_WORKERS) - workers);
        const int first = workers;
        workers += missing;
        const int sleeping = std::min(parked_workers, job.wanted - missing - spinning);
        lock.unlock();

        int started = 0;
        while (started < missing && start_worker(first + started))
            ++started;
        if (started < missing) {
            lock.lock();
            workers -= missing - started;
        }
        return sleeping;
    }

    /* Wake as many parked workers as are worth it, by the time that a first chunk takes; and one if this is the second
     * of several short jobs, for those to come. */
    void wake(Job& job, int most)
    {
        const auto begin = Clock::now();
        const bool is_one_of_several = begin - last_end.load(std::memory_order_relaxed) < SPIN_TIME && has_room_for(1);
        job.take_chunk(0);
        const auto rest = (Clock::now() - begin) * (job.chunks - 1);
        const int worth = static_cast<int>(std::min<std::ptrdiff_t>(most, rest / WORTH_WAKING));
        const int wanted = std::max<int>(worth, is_one_of_several);
        if (wanted == 0)
            return;
        Worker* called[MOST_WORKERS];
        std::unique_lock<std::mutex> lock(mutex, std::defer_lock);
        acquire(lock);
        const int calls = call_parked(wanted, job.submitter, called);
        lock.unlock();
        for (int k = 0; k < calls; ++k)
            called[k]->call.notify_one();
    }

    /* A helper announces its leaving under the mutex: when it is free, no helper will touch the job any more. */
    void withdraw(Job& job)
    {
        std::unique_lock<std::mutex> lock(mutex, std::defer_lock);
        acquire(lock);
        unlink(job);
        submitters -= 1;
        last_end.store(Clock::now(), std::memory_order_relaxed);
        job.last_helper_left.wait(lock, [&job] { return job.helpers == 0; });
    }

    void help(Job& job, Worker& worker, std::unique_lock<std::mutex>& lock)
    {
        job.helpers += 1;
        helping += 1;
        lock.unlock();
        worker.place.update();
        if (worker.place.shares_processor_with(job.submitter))
            job.submitter.send_away(worker.place);
        job.take_chunks(worker.number + 1);
        acquire(lock);
        helping -= 1;
        job.helpers -= 1;
        if (job.helpers == 0)
            job.last_helper_left.notify_one();
    }

    void rest(Worker& worker, std::unique_lock<std::mutex>& lock)
    {
        const unsigned seen = submissions;
        if (has_room_for(1)) {
            spinning += 1;
            lock.unlock();
            spin_until([this, seen] { return submissions != seen; });
            acquire(lock);
            spinning -= 1;
        }
        if (submissions == seen)
            park(worker, lock);
    }

    void park(Worker& worker, std::unique_lock<std::mutex>& lock)
    {
        worker.next_parked = parked;
        parked = &worker;
        parked_workers += 1;
        worker.place.update();
        worker.is_called = false;
        worker.call.wait(lock, [&worker] { return worker.is_called; });
    }

    /* Take at most so many of the parked workers, those that parked last. One that slept where the submitter is would
     * have to wait for it. */
    int call_parked(int most, const Place& submitter, Worker** called)
    {
        int calls = 0;
        for (; calls < most && parked; ++calls) {
            called[calls] = parked;
            parked->is_called = true;
            if (parked->place.shares_processor_with(submitter))
                submitter.send_away(parked->place);
            parked = parked->next_parked;
            parked_workers -= 1;
        }
        return calls;
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

    static bool start_worker(int worker);
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

extern "C" void* fastact_worker(void* worker)
{
    fastact_enter_environment();
    pool->serve(static_cast<int>(reinterpret_cast<std::intptr_t>(worker)));
    return nullptr;
}

/* Signals belong to the host's threads: a worker is born with all of them blocked. */
bool Pool::start_worker(int worker)
{
    pthread_attr_t detached;
    if (pthread_attr_init(&detached) != 0)
        return false;
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    sigset_t all, callers;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &callers);
    pthread_t thread;
    const bool is_started = pthread_create(&thread, &detached, fastact_worker, reinterpret_cast<void*>(std::intptr_t{worker})) == 0;
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

void set_processors(int processors) noexcept { most_processors = processors; }

void set_local_threads(int threads) noexcept { local_threads = threads; }

int get_local_threads() noexcept { return local_threads; }

int get_threads() noexcept { return local_threads ? local_threads : default_threads.load(); }

}
