#pragma once

#include <filesystem>

namespace lossatlas {

/// HDF5 keeps texts of any length in collections ("global heaps"), and the library never returns from one in which an
/// object is said to take no room. Throws Error naming the file unless every collection in it can be walked to its end.
/// https://docs.hdfgroup.org/hdf5/develop/_f_m_t11.html, III.E; for files whose lengths are 8 bytes wide.
void check_global_heaps(const std::filesystem::path& file);

}  // namespace lossatlas
