#include "models/registry.h"

#include <c10/core/impl/LocalDispatchKeySet.h>

#include <algorithm>
#include <iterator>

#include "base/error.h"
#include "base/text.h"
#include "models/exported_network.h"
#include "models/family.h"
#include "models/script_network.h"

namespace lossatlas {
namespace {

// Far beyond any network, and far below what would overflow a count of elements.
constexpr std::int64_t most = 1 << 16;

Family all_families() {
  Family all;
  for (Family (*family)() : {resnets, cifar_resnets, vggs, densenets, lenets, perceptrons}) {
    Family members = family();
    std::move(members.begin(), members.end(), std::back_inserter(all));
  }
  return all;
}

const Family& registry() {
  static const Family all = all_families();
  return all;
}

[[noreturn]] void refuse_name(const std::string& name) {
  std::vector<std::string> names;
  for (const Architecture& known : registry()) {
    names.push_back(known.info.name);
  }
  const std::string meant = nearest(name, names);
  throw UsageError("unknown architecture '{}'{} `lossatlas info --archs` lists them", name,
                   meant.empty() ? ":" : fmt::format(", did you mean '{}'?", meant));
}

const Architecture& find(const std::string& name) {
  for (const Architecture& known : registry()) {
    if (known.info.name == name) {
      return known;
    }
  }
  refuse_name(name);
}

void check_input(const Architecture& architecture, const NetworkSpec& spec) {
  const auto [channels, height, width] = spec.input;
  if (channels < 1 || channels > most || height > most || width > most) {
    throw UsageError("no network takes images of {} channels, {} by {} pixels", channels, height, width);
  }
  const std::int64_t smallest = architecture.smallest_image;
  if (height < smallest || width < smallest) {
    throw UsageError("architecture '{}' needs images of at least {} by {} pixels, these are {} by {}",
                     spec.architecture, smallest, smallest, height, width);
  }
}

void check_classes(const NetworkSpec& spec) {
  if (spec.classes < 2 || spec.classes > most) {
    throw UsageError("a network can distinguish 2 to {} classes, not {}", most, spec.classes);
  }
}

void check_width(const Architecture& architecture, const NetworkSpec& spec) {
  constexpr std::int64_t widest = 1 << 14;
  if (spec.width != 0 && architecture.info.defaults.width == 0) {
    throw UsageError("architecture '{}' has no width to choose: only the ResNets have one", spec.architecture);
  }
  if (spec.width < 0 || spec.width > widest) {
    throw UsageError("the width of '{}' must be 1 to {} channels, not {}", spec.architecture, widest, spec.width);
  }
}

}  // namespace

const std::vector<ArchitectureInfo>& architectures() {
  static const std::vector<ArchitectureInfo> infos = [] {
    std::vector<ArchitectureInfo> list;
    for (const Architecture& known : registry()) {
      list.push_back(known.info);
    }
    return list;
  }();
  return infos;
}

std::string twin_of(const std::string& name) {
  constexpr std::string_view kNone = "-noshort";
  if (!name.ends_with(kNone)) return "";
  const std::string twin = name.substr(0, name.size() - kNone.size()) + "-a";
  const auto is_twin = [&](const Architecture& known) { return known.info.name == twin; };
  return std::any_of(registry().begin(), registry().end(), is_twin) ? twin : "";
}

std::shared_ptr<Network> make_network(const NetworkSpec& spec) {
  if (spec.exported) return make_exported_network(spec);
  if (!spec.script.empty()) return make_script_network(spec);
  const Architecture& architecture = find(spec.architecture);
  check_input(architecture, spec);
  check_classes(spec);
  check_width(architecture, spec);
  NetworkSpec complete = spec;
  if (complete.width == 0) {
    complete.width = architecture.info.defaults.width;
  }
  return architecture.make(complete);
}

std::int64_t count_parameters(const NetworkSpec& spec) {
  // Operators take the kernels of the device "meta", which look at shapes alone: initialization does nothing, and the
  // system gives memory that is never touched.
  const auto [included, excluded] = c10::impl::tls_local_dispatch_key_set();
  const c10::impl::ForceDispatchKeyGuard shapes_only(included | c10::DispatchKeySet(c10::DispatchKey::Meta), excluded);
  return count_parameters(*make_network(spec));
}

}  // namespace lossatlas
