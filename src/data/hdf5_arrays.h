#pragma once

#include <filesystem>

#include "data/array_file.h"
#include "storage/hdf5.h"

namespace lossatlas {

/// The datasets at the root of an HDF5 file, as h5py writes them.
class Hdf5Arrays : public ArrayFile {
 public:
  /// Throws Error naming the file.
  explicit Hdf5Arrays(const std::filesystem::path& file);
  Array read(const Entry& entry) const override;

 private:
  Hdf5Reader reader_;
};

}  // namespace lossatlas
