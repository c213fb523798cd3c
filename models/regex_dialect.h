// Tokenizer files write their patterns for Oniguruma (Ruby syntax); we run PCRE2. Most of the two
// languages is the same; where the same text means something else it is translated, and what
// cannot be translated faithfully is refused by name rather than matched differently.
//
//   \s \S        → \p{White_Space}: PCRE2's \s also takes U+180E
//   \d, \p{L} …  → a class with the characters of newer Unicode versions (unicode_additions.h)
//   \uHHHH       → \x{HHHH}
//   refused: \w \b \h \v, back-references, inline flags other than (?i:…), {n}? and {n}+ (which
//   Ruby reads as a second repeat), nested classes and &&, properties other than categories
#pragma once

#include <string>
#include <string_view>

namespace crossloom::models {

/// The PCRE2 pattern (UTF | UCP | MULTILINE, newline LF) that matches what Oniguruma's would.
/// Throws DataError naming the construct, its position and `source`.
std::string translate_pattern(std::string_view pattern, const std::string& source);

/// The items of a PCRE2 class that match a general category, or "numeric" (Rust's
/// char::is_numeric), in the reference's Unicode version. InternalError on an unknown name.
std::string category_class_items(std::string_view category);

}  // namespace crossloom::models
