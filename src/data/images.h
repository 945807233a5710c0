#pragma once

#include <string>

#include "data/data_set.h"

namespace lossatlas {

/// Loads pictures in class folders (image_folder.h) as images of 8 bits, [N, 3, H, W]: from their cache, or decoded on
/// all processors into it. Throws Error if pictures cannot be decoded, unless `options.skip_bad`, or if images differ
/// in size.
DataSet load_images(const std::string& folder, Split split, const ImageOptions& options, const DataObserver& observer);

}  // namespace lossatlas
