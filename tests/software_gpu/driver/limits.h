// The limits of the device: those of an H100 (compute capability 9.0), as the CUDA C++ Programming Guide lists them.
#pragma once

namespace gpu {

const int WARP = 32;
const int MOST_THREADS = 1024, MOST_THREADS_Z = 64;  // of a block
const int MOST_BLOCKS_X = 0x7FFFFFFF, MOST_BLOCKS_YZ = 65535;
const int REGISTERS = 65536;  // of a multiprocessor, and of a block
const int MOST_WARPS_OF_MULTIPROCESSOR = 64, MOST_BLOCKS_OF_MULTIPROCESSOR = 32;
const int PLAIN_SHARED_BYTES = 48 << 10;  // of a block that does not ask for more
const int MOST_SHARED_BYTES = 227 << 10;  // of a block
const int RESERVED_SHARED_BYTES = 1 << 10, SHARED_BYTES_OF_MULTIPROCESSOR = 228 << 10;

// Set by SOFTWARE_GPU_MULTIPROCESSORS.
int multiprocessors();

}  // namespace gpu
