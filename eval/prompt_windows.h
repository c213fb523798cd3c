// Where a prompt may begin: at the start of a line or behind the end of a sentence, with a capital
// letter (or a letter of a script without case), a quote or bracket before it allowed. A full stop
// behind a capitalised word of at most three letters ("U.", "Mr.", "Gen.") ends no sentence.
// A prompt ends before its paragraph does, so that none runs across a blank line.
#pragma once

#include <string_view>
#include <vector>

namespace crossloom::eval {

/// From each place where a prompt may begin to the end of its paragraph, in text order; views into
/// `text`, which must be valid UTF-8.
std::vector<std::string_view> prompt_windows(std::string_view text);

}  // namespace crossloom::eval
