/* The gate to Numba's threads: one caller at a time, and none in a forked child, where these threads do not exist. Its
 * parallel regions would abort the process or hang. */
#ifndef FASTACT_GATE_HPP
#define FASTACT_GATE_HPP

#include <cstddef>

namespace fastact {

using Task = void (*)(void* context, std::ptrdiff_t chunk) noexcept;

/* What Numba compiled: calls task(context, chunk) for all chunks, taking the next from *next. */
using Launcher = void (*)(Task task, void* context, std::ptrdiff_t chunks, std::ptrdiff_t* next, std::ptrdiff_t threads);

void open_gate(Launcher launcher, int most_threads) noexcept;
bool is_gate_open() noexcept;

/* Call task(context, chunk) once for each chunk in [0, chunks) in Numba's threads, in the kernels' floating-point
 * environment. Returns false, and has done nothing, if the gate is closed or taken. */
bool run_in_numba(Task task, void* context, std::ptrdiff_t chunks, int threads) noexcept;

/* Let nobody in from now on. Returns whether nobody is in. */
bool close_gate() noexcept;

}

#endif
