// Settings of the driver, and the messages by which it says what a program did wrong.
#pragma once

#include <cstdint>

namespace gpu {

// The value of an environment variable as a number; `otherwise` if it is not set.
uint64_t setting(const char* name, uint64_t otherwise);

// The seed of all random orders. With seed 0, blocks and threads run in their order.
uint32_t seed();

// Says on stderr why a call is refused. A program may call like this on purpose, so it is no finding.
void explain(const char* format, ...) __attribute__((format(printf, 1, 2)));

// Records a finding: an error of the program that a GPU may hide. Findings go to stderr and to the file `findings` of the
// folder SOFTWARE_GPU_REPORT.
void report(const char* format, ...) __attribute__((format(printf, 1, 2)));

// Appends text to a file in the folder SOFTWARE_GPU_REPORT. Does nothing if that variable is not set.
void append(const char* file, const char* text);

}  // namespace gpu
