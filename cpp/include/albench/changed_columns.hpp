// Which columns have to be multiplied again to bring a row's bound up to date, and what commits did to them.
//
// A commit raises the memo of some columns: many at first, about q / t in step t. Only columns that changed
// since a row was last looked at are needed. They are ordered by their last change, newest first, and rows by
// how old they are: the columns of a younger row are a prefix of those of an older one, so that products run
// in blocks.
#pragma once

#include <cstdint>
#include <vector>

#include "albench/gain_bounds.hpp"

namespace albench {

constexpr Index kFewRows = 32;    // of so few rows the gains are as soon computed as brought up to date
constexpr Index kTaskRows = 192;  // rows brought up to date by one task

class ChangedColumns {
 public:
  explicit ChangedColumns(Index columns)
      : last_(static_cast<std::size_t>(columns), 0), place_(static_cast<std::size_t>(columns), 0) {}

  void reset();
  void committed(const std::vector<MemoChange>& changes);
  // Number of commits so far: what a row was seen at.
  std::uint32_t time() const { return time_; }

  // Those of `which` in the order of when rows[j] was seen, youngest first; rows of equal age stay in order.
  // `seen` begins at row `first`.
  std::vector<Index> by_age(const Index* rows, const std::vector<Index>& which,
                            const std::vector<std::uint32_t>& seen, Index first = 0) const;
  // Orders all columns that changed after `oldest`.
  void order(std::uint32_t oldest, const std::vector<float>& memo);
  const std::vector<Index>& columns() const { return columns_; }
  // How many of them changed after `then`.
  Index since(std::uint32_t then) const { return newer_[then]; }
  // Their memo of now.
  const std::vector<float>& high() const { return high_; }
  // Takes `low`, their memo as of `now`, back to what it was at `then` <= now, which becomes `now`.
  void back(std::vector<float>& low, std::uint32_t& now, std::uint32_t then) const;

 private:
  std::uint32_t time_ = 0;
  std::vector<std::uint32_t> last_;           // (q,) time of a column's last change
  std::vector<std::vector<MemoChange>> log_;  // log_[t - 1]: what commit t changed
  std::vector<Index> columns_;
  std::vector<Index> newer_;  // newer_[t]: number of columns changed after t
  std::vector<Index> place_;  // (q,) place of a column in the order
  std::vector<float> high_;
};

}  // namespace albench
