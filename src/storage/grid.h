#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "storage/hdf5.h"

namespace lossatlas {

/// Coordinates twice: `name` as tomgoldstein/loss-landscape has it ("/xcoordinates"), and `scale` ("/x") as a dimension
/// scale, which names the axis to xarray and netCDF.
void write_axis(Hdf5Writer& writer, const std::string& name, const std::string& scale, const std::string& meaning,
                std::span<const double> values);

/// Of losses in a file of tomgoldstein/loss-landscape, whether each was evaluated: 1, or 0 where -1 marks it as not.
/// Where another loss is negative, -1 is a loss too; a NaN is always one.
std::vector<std::uint8_t> evaluated_of(std::span<const double> losses);

/// What VTK's vtkHDFReader and ParaView read: an image of nx × ny points, or nx × ny × nz, whose data are hard links to
/// these root datasets of shape [ny, nx] or [nz, ny, nx]. `axes`: evenly spaced coordinates, x first. Nothing is
/// written for a single row or column, and for other numbers of axes.
void write_vtkhdf(Hdf5Writer& writer, const std::vector<std::vector<double>>& axes,
                  const std::vector<std::string>& datasets);

}  // namespace lossatlas
