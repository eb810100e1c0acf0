// Upper bounds of all candidates, searched by threshold.
//
// Lazy greedy (Minoux 1978) is usually written with a heap. Here each step asks for *all* candidates whose
// bound reaches a threshold, so that they can be re-evaluated in one threaded batch; a heap would hand them
// out one by one. Bounds sit in an array under block maxima: a query touches n / kBlock maxima and the blocks
// that qualify.
#pragma once

#include <algorithm>
#include <limits>
#include <vector>

#include "albench/buffer.hpp"
#include "albench/parallel.hpp"
#include "albench/types.hpp"

namespace albench {

class Bounds {
 public:
  static constexpr Index kBlock = 64;
  static constexpr double kRemoved = -std::numeric_limits<double>::infinity();

  explicit Bounds(Index size)
      : value_(static_cast<std::size_t>(size), kRemoved),
        block_max_(static_cast<std::size_t>((size + kBlock - 1) / kBlock), kRemoved) {}

  double operator[](Index i) const { return value_[static_cast<std::size_t>(i)]; }
  void set(Index i, double bound) { value_[static_cast<std::size_t>(i)] = bound; }

  // To be called for every index set since, before the next search.
  void settle(Index i) {
    const Index block = i / kBlock;
    double largest = kRemoved;
    const Index end = std::min((block + 1) * kBlock, static_cast<Index>(value_.size()));
    for (Index j = block * kBlock; j < end; ++j)
      largest = std::max(largest, value_[static_cast<std::size_t>(j)]);
    block_max_[static_cast<std::size_t>(block)] = largest;
  }
  void settle_all() {
    for (Index i = 0; i < static_cast<Index>(value_.size()); i += kBlock) settle(i);
  }

  // Some of the bounds >= threshold, as `values`, of which there are about `times` as many.
  struct Sample {
    std::vector<double> values;
    double times = 1.0;
  };
  Sample sample(double threshold) const {
    constexpr std::size_t kBlocks = 64;
    const std::vector<std::size_t> blocks = blocks_reaching(threshold);
    const std::size_t stride = std::max<std::size_t>(1, blocks.size() / kBlocks);
    Sample out;
    out.times = static_cast<double>(stride);
    out.values.resize((blocks.size() / stride + 1) * kBlock);
    std::size_t count = 0;
    for (std::size_t b = 0; b < blocks.size(); b += stride) {
      const std::size_t end = std::min((blocks[b] + 1) * kBlock, value_.size());
      for (std::size_t i = blocks[b] * kBlock; i < end; ++i) {
        out.values[count] = value_[i];
        count += value_[i] >= threshold ? 1U : 0U;
      }
    }
    out.values.resize(count);
    return out;
  }

  // All indices with bound >= threshold, in ascending order.
  void reaching(double threshold, std::vector<Index>& out, ThreadPool& pool) {
    const std::vector<std::size_t> blocks = blocks_reaching(threshold);
    constexpr std::size_t kPart = 256;
    const std::size_t parts = (blocks.size() + kPart - 1) / kPart;
    std::vector<std::size_t> found(parts);
    reached_.resize(blocks.size() * kBlock);
    pool.run(static_cast<Index>(parts), [&](Index t, int) {
      const auto part = static_cast<std::size_t>(t);
      Index* reached = reached_.data() + part * kPart * kBlock;
      std::size_t count = 0;
      for (std::size_t b = part * kPart; b < std::min(blocks.size(), (part + 1) * kPart); ++b) {
        const std::size_t end = std::min((blocks[b] + 1) * kBlock, value_.size());
        // Written without a branch: whether a bound reaches the threshold cannot be foreseen.
        for (std::size_t i = blocks[b] * kBlock; i < end; ++i) {
          reached[count] = static_cast<Index>(i);
          count += value_[i] >= threshold ? 1U : 0U;
        }
      }
      found[part] = count;
    });
    out.clear();
    for (std::size_t part = 0; part < parts; ++part) {
      const Index* from = reached_.data() + part * kPart * kBlock;
      out.insert(out.end(), from, from + found[part]);
    }
  }

  // The index of the largest bound (the lowest of equals), -1 if none is left.
  Index argmax() const {
    std::size_t best = 0;
    for (std::size_t block = 1; block < block_max_.size(); ++block)
      if (block_max_[block] > block_max_[best]) best = block;
    if (block_max_.empty() || block_max_[best] == kRemoved) return -1;
    std::size_t i = best * kBlock;
    while (value_[i] != block_max_[best]) ++i;
    return static_cast<Index>(i);
  }

 private:
  std::vector<std::size_t> blocks_reaching(double threshold) const {
    std::vector<std::size_t> blocks;
    for (std::size_t block = 0; block < block_max_.size(); ++block)
      if (block_max_[block] >= threshold) blocks.push_back(block);
    return blocks;
  }

  std::vector<double> value_;
  std::vector<double> block_max_;
  Buffer<Index> reached_;  // of each part of `reaching`; not cleared at every search, as a vector would be
};

}  // namespace albench
