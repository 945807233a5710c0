#pragma once

#include <span>
#include <string>
#include <string_view>

namespace lossatlas {

/// The candidate that a person who wrote `word` most likely meant, or "" where none is near: "did you mean 'grid'?".
/// Distance is Levenshtein's, but that two swapped neighbours are one change, ASCII capitals and small letters counting
/// as equal. It may be about a third of the word's length (always 1), but never the whole word. The first of equals is
/// taken.
std::string nearest(std::string_view word, std::span<const std::string> candidates);

/// Words as one line that a POSIX shell reads as the same words: those with special characters in single quotes.
std::string shell_line(std::span<const std::string> words);

/// The line of a LibTorch message that gives the reason: the error at the end of a TorchScript traceback, else the
/// first line.
std::string reason_of(std::string_view message);

}  // namespace lossatlas
