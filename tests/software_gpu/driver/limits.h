// The limits of the device. They are the limits of an H100 (compute capability 9.0) in the CUDA C++ Programming Guide.
#pragma once

namespace gpu {

const int WARP = 32;
const int MOST_THREADS = 1024, MOST_THREADS_Z = 64;  // per block
const int MOST_BLOCKS_X = 0x7FFFFFFF, MOST_BLOCKS_YZ = 65535;
const int REGISTERS = 65536;  // per multiprocessor, and also per block
const int MOST_WARPS_OF_MULTIPROCESSOR = 64, MOST_BLOCKS_OF_MULTIPROCESSOR = 32;
const int PLAIN_SHARED_BYTES = 48 << 10;  // per block, if the kernel does not ask for more
const int MOST_SHARED_BYTES = 227 << 10;  // per block
const int RESERVED_SHARED_BYTES = 1 << 10, SHARED_BYTES_OF_MULTIPROCESSOR = 228 << 10;

// The environment variable SOFTWARE_GPU_MULTIPROCESSORS sets this number.
int multiprocessors();

}  // namespace gpu
