#include "gate.hpp"

#include <algorithm>
#include <atomic>

#include <pthread.h>

#include "environment.h"

namespace fastact {
namespace {

std::atomic<Launcher> launcher{nullptr};
std::atomic<int> launcher_threads{1};
std::atomic<bool> is_taken{false};

void close_in_child()
{
    launcher = nullptr;
    is_taken = false;
}

const bool is_ready = [] {
    pthread_atfork(nullptr, nullptr, close_in_child);
    return true;
}();

struct Job {
    Task task;
    void* context;
};

/* Numba's threads have the host's environment. */
void run_in_environment(void* context, std::ptrdiff_t chunk) noexcept
{
    const Job* job = static_cast<const Job*>(context);
    fastact_environment callers = fastact_enter_environment();
    job->task(job->context, chunk);
    fastact_leave_environment(callers);
}

}

void open_gate(Launcher new_launcher, int most_threads) noexcept
{
    launcher_threads = most_threads;
    launcher = new_launcher;
}

bool is_gate_open() noexcept { return launcher.load() != nullptr; }

bool run_in_numba(Task task, void* context, std::ptrdiff_t chunks, int threads) noexcept
{
    if (is_taken.exchange(true))
        return false;
    const Launcher launch = launcher.load();
    if (launch) {
        Job job{task, context};
        std::ptrdiff_t next = 0;
        launch(run_in_environment, &job, chunks, &next, std::min<std::ptrdiff_t>({threads, launcher_threads, chunks}));
    }
    is_taken = false;
    return launch != nullptr;
}

bool close_gate() noexcept
{
    launcher = nullptr;
    return !is_taken;
}

}
