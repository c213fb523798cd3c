// Resident memory of this process, from /proc/self (Linux).
#pragma once

namespace crossloom::benchmarks {

/// Forgets the peak so far; false where the kernel does not allow it.
bool reset_peak_memory();
/// Bytes; 0 when unknown.
double peak_memory_bytes();
/// What could be had without swapping; 0 when unknown.
double available_memory_bytes();

}  // namespace crossloom::benchmarks
