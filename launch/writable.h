// Whether an output can be written, asked before hours of work and not after them.
#pragma once

#include <string>

namespace crossloom::launch {

/// Writes and removes a file beside `path`, folders included; whatever is there stays as it is.
/// Throws DataError naming what cannot be written.
void require_writable(const std::string& path);

/// The folder that `path` lies in, with its parents. Throws DataError.
void make_parent_folder(const std::string& path);

}  // namespace crossloom::launch
