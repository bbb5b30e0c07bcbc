/* A thread to compile in. Kernels are found hot in loops that hold no GIL and must not wait, so it is one of the
 * operating system, not of Python. There is none before it is needed, none after its work, and none at exit. */
#ifndef FASTACT_BACKGROUND_HPP
#define FASTACT_BACKGROUND_HPP

namespace fastact {

using Work = void (*)() noexcept;

/* Call work() in a thread of its own, unless one is at work: that one is told to look again. */
void start_work(Work work) noexcept;

/* Wait until *status is no longer `waiting`; not for ever, and not in the background thread. Call without the GIL. */
void wait_for_work(const int* status, int waiting) noexcept;

/* Have those who wait look at their status. */
void announce_work() noexcept;

/* Begin no work from now on. Returns whether none is under way. */
bool close_work() noexcept;

bool is_at_work() noexcept;

}

#endif
