#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lossatlas {

/// The candidate that a person who wrote `word` most likely meant, or "" if none is near: "did you mean 'grid'?".
/// Near is what at most a third of the word's letters (rounded down) separate by Levenshtein's distance, in which two
/// swapped neighbours are one change and ASCII capitals equal small letters; or, of three letters or more, what begins
/// with the word or is its beginning. The nearest is taken, of equals the first.
std::string nearest(std::string_view word, std::span<const std::string> candidates);

/// ", did you mean 'grid'?", or "" if no candidate is near.
std::string did_you_mean(std::string_view word, std::span<const std::string> candidates);

/// Throws UsageError unless `word` is one of the names: "`optimizer` adm: requires sgd, adam, did you mean 'adam'?".
void check_known(std::string_view option, std::string_view word, std::span<const std::string> names);

inline bool is_digit(char letter) { return letter >= '0' && letter <= '9'; }

/// "a,b,": "a", "b", "". The parts lie in `text`.
std::vector<std::string_view> split_at(std::string_view text, char separator);

/// Words as one line that a POSIX shell reads as the same words: those with special characters in single quotes.
std::string shell_line(std::span<const std::string> words);

/// The line of a LibTorch message that gives the reason: the error at the end of a TorchScript traceback, else the
/// first line.
std::string reason_of(std::string_view message);

/// "45 s", "3 min 20 s", "2 h 05 min"; "?" for what is not finite.
std::string duration_text(double seconds);

}  // namespace lossatlas
