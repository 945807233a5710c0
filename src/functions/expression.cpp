#include "functions/expression.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numbers>
#include <string_view>

#include "base/text.h"

namespace lossatlas {
namespace {

using Kind = StackOperation::Kind;

}  // namespace

/// Recursive descent; writes operations in postfix order as it goes.
///   sum: product {(+|-) product}    product: signed {(*|/) signed}    signed: (+|-) signed | power
///   power: atom [^ signed | ² | ³]        atom: number | name | name(sum, …) | (sum)
class Parser {
 public:
  Parser(const std::string& text, Expression& out) : text_(text), out_(out) {}

  void parse() {
    sum();
    skip_spaces();
    if (at_ == text_.size()) return;
    if (text_[at_] == ')') fail("this ) closes nothing");
    if (text_[at_] == '|') fail(kBars);
    if (starts_value()) fail("an operator is missing here (2*x, not 2x)");
    fail(fmt::format("did not expect '{}' here", character()));
  }

 private:
  static constexpr int kDeepest = 200;  // parentheses, signs and powers within each other
  static constexpr const char* kBars = "write abs(x), not |x|";

  [[noreturn]] void fail(const std::string& what) const { fail(what, at_); }
  [[noreturn]] void fail(const std::string& what, std::size_t at) const {
    const auto is_first_byte = [](char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; };
    const auto before = text_.substr(0, at);
    const auto column = 1 + static_cast<std::size_t>(std::count_if(before.begin(), before.end(), is_first_byte));
    throw SyntaxError(fmt::format("column {}: {}", column, what), column);
  }

  static bool is_digit(char c) { return c >= '0' && c <= '9'; }
  static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
  bool starts_value() const {
    const char c = text_[at_];
    return is_digit(c) || is_letter(c) || c == '(' || c == '.' || std::string_view(text_).substr(at_).starts_with("π");
  }

  /// The character at the place, all bytes of it; its code where it cannot be shown.
  std::string character() const {
    const auto byte = static_cast<unsigned char>(text_[at_]);
    if (byte < ' ' || byte == 0x7F) return fmt::format("\\x{:02x}", byte);
    std::size_t end = at_ + 1;
    while (end < text_.size() && (static_cast<unsigned char>(text_[end]) & 0xC0) == 0x80) ++end;
    return text_.substr(at_, end - at_);
  }

  void skip_spaces() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) ++at_;
  }

  /// Takes the words, if they stand here. "−" (U+2212), "·", "×", "²", "³" and "π", as printed in books, are -, *, *,
  /// ^2, ^3 and pi.
  bool takes(std::string_view words) {
    skip_spaces();
    if (!std::string_view(text_).substr(at_).starts_with(words)) return false;
    at_ += words.size();
    return true;
  }
  bool takes_minus() { return takes("-") || takes("−"); }
  bool takes_power() { return takes("**") || takes("^"); }
  bool takes_times() {
    skip_spaces();
    return !std::string_view(text_).substr(at_).starts_with("**") && (takes("*") || takes("·") || takes("×"));
  }

  void put(StackOperation operation) { out_.operations_.push_back(operation); }

  void sum() {
    product();
    for (;;) {
      const bool minus = takes_minus();
      if (!minus && !takes("+")) return;
      product();
      put({minus ? Kind::subtract : Kind::add});
    }
  }

  void product() {
    signed_power();
    for (;;) {
      const bool times = takes_times();
      if (!times && !takes("/")) return;
      signed_power();
      put({times ? Kind::multiply : Kind::divide});
    }
  }

  void signed_power() {
    if (++depth_ > kDeepest) fail(fmt::format("more than {} levels deep", kDeepest));
    if (takes_minus()) {
      signed_power();
      put({Kind::negate});
    } else if (takes("+")) {
      signed_power();
    } else {
      atom();
      if (takes_power()) {
        signed_power();
        put({Kind::power});
      } else if (const bool square = takes("²"); square || takes("³")) {
        put({Kind::number, square ? 2.0 : 3.0});
        put({Kind::power});
      }
    }
    --depth_;
  }

  void atom() {
    skip_spaces();
    const std::size_t start = at_;
    if (at_ == text_.size()) fail(start == 0 ? "there is nothing here" : "a number, x, y or ( is missing at the end");
    if (takes("(")) {
      sum();
      if (!takes(")")) fail("a ) is missing here");
    } else if (takes("π")) {
      put({Kind::number, std::numbers::pi});
    } else if (is_digit(text_[at_]) || text_[at_] == '.') {
      number();
    } else if (is_letter(text_[at_])) {
      while (at_ < text_.size() && (is_letter(text_[at_]) || is_digit(text_[at_]))) ++at_;
      named(text_.substr(start, at_ - start), start);
    } else if (text_[at_] == '|') {
      fail(kBars);
    } else {
      fail(fmt::format("a number, x, y or ( is missing before '{}'", character()));
    }
  }

  void number() {
    double value = 0;
    const auto [end, failure] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
    if (failure == std::errc::result_out_of_range) fail("this number is too large or too small");
    if (failure != std::errc{}) fail("this is not a number");
    at_ = static_cast<std::size_t>(end - text_.data());
    put({Kind::number, value});
  }

  void named(const std::string& name, std::size_t start) {
    if (name == "x") return put({Kind::x});
    if (name == "y") {
      out_.uses_y_ = true;
      return put({Kind::y});
    }
    if (name == "pi") return put({Kind::number, std::numbers::pi});
    if (name == "e") return put({Kind::number, std::numbers::e});
    const auto all = functions();
    const auto found = std::find_if(all.begin(), all.end(), [&](const FunctionName& f) { return f.name == name; });
    if (found == all.end()) unknown(name, start);
    arguments(static_cast<std::size_t>(found - all.begin()));
  }

  [[noreturn]] void unknown(const std::string& name, std::size_t start) const {
    std::vector<std::string> names{"x", "y", "pi", "e"};
    for (const FunctionName& function : functions()) names.push_back(function.name);
    const std::string meant = did_you_mean(name == "ln" ? "log" : name, names);
    fail(fmt::format("unknown name '{}'{} (there are {})", name, meant, fmt::join(names, ", ")), start);
  }

  void arguments(std::size_t function) {
    const auto& [name, count] = functions()[function];
    if (!takes("(")) fail(fmt::format("{} requires its argument in parentheses: {}(x)", name, name));
    for (std::size_t argument = 1;; ++argument) {
      sum();
      if (argument == count) break;
      if (!takes(",")) fail(fmt::format("{} requires {} numbers, separated by commas", name, count));
    }
    skip_spaces();
    if (at_ < text_.size() && text_[at_] == ',') fail(fmt::format("{} allows no more than {} here", name, count));
    if (!takes(")")) fail("a ) is missing here");
    put({Kind::function, 0, function});
  }

  const std::string& text_;
  Expression& out_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

Expression::Expression(const std::string& text) { Parser(text, *this).parse(); }

Expression::Term Expression::term_of(const StackOperation& operation, const Term& a, const Term& b) {
  const Dual number = result_of(operation, a.number, b.number);
  if (number.is_finite()) return {number};
  // Numbers that are fine but have no result: this operation, even where a derivative was lost before.
  const bool has_no_value = std::isnan(number.value) && std::isfinite(a.number.value) && std::isfinite(b.number.value);
  if (!has_no_value && !a.number.is_finite()) return {number, a.culprit, a.a, a.b};
  if (!has_no_value && !b.number.is_finite()) return {number, b.culprit, b.a, b.b};
  return {number, &operation, a.number.value, b.number.value};
}

Expression::Term Expression::run(std::span<const double> point) const {
  std::vector<Term> stack;
  const auto pop = [&stack] {
    const Term top = stack.back();
    stack.pop_back();
    return top;
  };
  for (const StackOperation& operation : operations_) {
    const std::size_t operands = operands_of(operation);
    const Term b = operands > 1 ? pop() : Term{}, a = operands > 0 ? pop() : Term{};
    if (operation.kind == Kind::number) {
      stack.push_back({{operation.number, {}}});
    } else if (operation.kind == Kind::x) {
      stack.push_back({{point[0], {1, 0}}});
    } else if (operation.kind == Kind::y) {
      stack.push_back({{point.size() > 1 ? point[1] : 0, {0, 1}}});
    } else {
      stack.push_back(term_of(operation, a, b));
    }
    if (std::isnan(stack.back().number.value)) break;  // nothing may hide it, not even min(…, 1)
  }
  return stack.back();
}

std::optional<Undefined> Expression::undefined_at(std::span<const double> point) const {
  const Term end = run(point);
  if (end.culprit == nullptr) return std::nullopt;
  return why(*end.culprit, end.a, end.b);
}

}  // namespace lossatlas
