#include "storage/format.h"

#include "base/error.h"

namespace lossatlas {

void check_format(const Hdf5Reader& reader) {
  if (!reader.has("/lossatlas") || !reader.has_attribute("/lossatlas", "format")) return;
  const std::int64_t format = reader.integer_attribute("/lossatlas", "format");
  if (format <= kFileFormat) return;
  throw Error("{}: format {}, this program knows up to {}; use a newer Lossatlas", reader.file().string(), format,
              kFileFormat);
}

}  // namespace lossatlas
