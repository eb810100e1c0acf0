// Where similarities of candidates to columns come from: a matrix, or features from which rows are made on
// demand.
#pragma once

#include <memory>
#include <vector>

#include "albench/similarity.hpp"

namespace albench {

class Source {
 public:
  // Borrows s (n, q), row-major.
  Source(const float* s, Index n, Index q) : dense_(s), n_(n), q_(q) {}
  // Borrows the features; `panels` are the packed columns.
  // One of `prepare` and `hold` has to be called before rows are read.
  Source(const Features& x, QueryPanels panels)
      : n_(x.rows), q_(panels.size()), x_(x), panels_(std::make_unique<QueryPanels>(std::move(panels))) {}

  // Looks at all features once: norms, and whether they are finite. Nothing to do for a matrix.
  void prepare(ThreadPool& pool, const Poll& poll);

  Index rows() const { return n_; }
  Index cols() const { return q_; }
  const float* dense() const { return dense_; }  // null where rows are made on demand
  const QueryPanels* panels() const { return panels_.get(); }
  const char* argument() const { return panels_ ? "X" : "S"; }
  // Similarities that are borrowed, or made of what is, may no longer be what they were when looked at first.
  void require_finite(Index row, const float* s) const {
    if (!all_finite(s, q_))
      throw InputError(argument(), "values that stay finite while they are borrowed",
                       "NaN or infinity in row " + std::to_string(row));
  }

  // Similarities are cut at these values, one a column (facility-location mutual information).
  void cap(std::vector<float> caps, ThreadPool& pool);

  // Makes all rows at once and holds them: (n, q) float32.
  void hold(ThreadPool& pool, const Poll& poll);

  // Similarities of `count` rows to all columns, out (count, q). Dense sources copy; use dense() there.
  void read(const Index* rows, Index count, float* out, TileScratch& scratch) const;
  // The same for columns [0, cols) of a selection of the panels; caps are not applied.
  void read_selected(const Index* rows, Index count, const QueryPanels& selection, Index cols, float* out,
                     Index ldo, TileScratch& scratch) const;
  const std::vector<float>& caps() const { return caps_; }
  // Features of a row as panels multiply them; what makes similarities of the products.
  void read_features(Index row, float* out) const { panels_->load(x_, row, out); }
  float factor(Index row) const {
    return panels_->normalised() ? norms_[static_cast<std::size_t>(row)] : 1.0F;
  }

 private:
  const float* dense_ = nullptr;
  Index n_;
  Index q_;
  Features x_;
  std::unique_ptr<QueryPanels> panels_;
  std::vector<float> norms_;
  std::vector<float> caps_;
  Buffer<float> owned_;
};

}  // namespace albench
