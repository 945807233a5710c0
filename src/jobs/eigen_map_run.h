#pragma once

#include <string_view>

#include "jobs/surface_run.h"

namespace lossatlas {

/// A request to other ranks: compute rows of the maps.
inline constexpr std::string_view kMapsRequest = "maps";

/// Whether maps are asked for, and rows of them are not there yet.
bool lacks_eigen_maps(const SurfaceJob& job);

/// Computes the rows that are missing, each kept in the surface when it is done; `on_row` is called then, by one thread
/// at a time. False if it was stopped.
///
/// A chain of points runs along the first column, and one from each of its points along the row. At each point Lanczos'
/// algorithm makes maps->products products, beginning with v_max + v_min of the point before. A process that computes a
/// row runs the first column up to it: its vectors are then of the same bits everywhere, and nobody has to hold or send
/// those of all rows.
bool find_eigen_maps(SurfaceJob& job, Observer& observer, const std::function<void()>& on_row);

/// On other ranks: computes the rows that rank 0 hands out.
void serve_eigen_maps(const SurfaceJob& job, Observer& observer);

}  // namespace lossatlas
