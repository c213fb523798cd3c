// Memory of this process: what is resident, from /proc/self (Linux), and page faults.
#pragma once

#include <cstdint>

namespace crossloom {

/// Forgets the peak so far; false where the kernel does not allow it.
bool reset_peak_memory();
/// Bytes; 0 when unknown.
double peak_memory_bytes();
/// Bytes resident now; 0 when unknown.
double resident_memory_bytes();
/// How often a page had to be given or mapped so far: fresh memory, mostly.
int64_t page_faults();
/// What could be had without swapping; 0 when unknown.
double available_memory_bytes();

}  // namespace crossloom
