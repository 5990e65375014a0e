// The settings of the driver, and its messages about errors of the program.
#pragma once

#include <cstdint>

namespace gpu {

// Returns the value of an environment variable as a number, or `otherwise` if the variable is not set.
uint64_t setting(const char* name, uint64_t otherwise);

// Returns the seed of all random orders. With seed 0, blocks and threads run in the order of their numbers.
uint32_t seed();

// Says on stderr why a call is refused. A refused call is not a finding, because a program may make such a call on purpose.
void explain(const char* format, ...) __attribute__((format(printf, 1, 2)));

// Records a finding: an error of the program that a GPU may hide. Findings are printed on stderr, and appended to the
// file `findings` in the folder that the environment variable SOFTWARE_GPU_REPORT names.
void report(const char* format, ...) __attribute__((format(printf, 1, 2)));

// Appends text to a file in the folder SOFTWARE_GPU_REPORT. If this environment variable is not set, nothing happens.
void append(const char* file, const char* text);

}  // namespace gpu
