/* A thread pool that survives its host: any thread may submit, and nobody depends on a worker.
 *
 * The submitter works on its own job. Workers that are free help: each thread takes the chunks of its share one by one,
 * then those that are left of the others, so that it does not matter how many helpers come, or when. Workers are started
 * when first needed, never at import, and sleep when there has been nothing to do for 50 us. If a thread cannot be
 * started, or the process was forked in between, only speed is lost.
 */
#ifndef FASTACT_POOL_HPP
#define FASTACT_POOL_HPP

#include <cstddef>

namespace fastact {

using Task = void (*)(void* context, std::ptrdiff_t chunk) noexcept;

/* Call task(context, chunk) once for each chunk in [0, chunks), on up to `threads` threads, this one included.
 * Returns when all calls have returned. May be called with or without the GIL; inside a task it runs serially. */
void run(Task task, void* context, std::ptrdiff_t chunks, int threads) noexcept;

/* The number of workers there are in this process. */
int started() noexcept;

/* How many processors this process has for itself: threads wait for each other without sleeping only as long as no
 * more of them are running. */
void set_processors(int processors) noexcept;

/* The thread count is the calling thread's own if it has set one, else that of the process. */
void set_default_threads(int threads) noexcept;
void set_local_threads(int threads) noexcept; /* 0: none of its own */
int get_local_threads() noexcept;
int get_threads() noexcept;

}

#endif
