/* What the Numba backend needs besides kernels: a thread to compile in, and the gate to Numba's parallel regions.
 *
 * Kernels become hot in loops that hold no GIL and must not wait, so the thread is one of the operating system, not of
 * Python. There is none before it is needed, none after its work, and none at exit.
 */
#ifndef FASTACT_BACKGROUND_HPP
#define FASTACT_BACKGROUND_HPP

#include <cstddef>

#include "pool.hpp"

namespace fastact {

using Work = void (*)() noexcept;

/* Call work() in a thread of its own, unless one is at work: that one is told to look again. */
void start_work(Work work) noexcept;

/* Wait until *status is no more `waiting`, a minute at most. Call without the GIL. */
void wait_for_work(const int* status, int waiting) noexcept;

/* Wake all who wait. */
void announce_work() noexcept;

/* No work from now on. Returns whether none is under way. */
bool close_work() noexcept;

bool is_at_work() noexcept;

/* Numba's parallel regions: what `run` does, in Numba's threads. None are entered before there is a launcher. */
using Launcher = void (*)(Task task, void* context, std::ptrdiff_t chunks, std::ptrdiff_t* next, std::ptrdiff_t threads);

enum Entry { no_launcher, refused, done };

void set_launcher(Launcher launcher, int most_threads) noexcept;
bool has_launcher() noexcept;
Entry run_in_numba(Task task, void* context, std::ptrdiff_t chunks, int threads) noexcept;

/* Let nobody in any more. Returns whether nobody is in. */
bool close_gate() noexcept;

}

#endif
