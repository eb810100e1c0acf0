# build.sh SRC DEST [cmake args]
set -e
src=$1; dest=$2; shift 2
PY=/work/core/.venv/bin/python
/work/core/.venv/bin/cmake -S $src -B $dest-build -DPython_EXECUTABLE=$PY -Dpybind11_DIR=$($PY -m pybind11 --cmakedir) "$@" >/dev/null
nice -n 5 /work/core/.venv/bin/cmake --build $dest-build -j 2 2>&1 | tail -3
mkdir -p $dest/albench_core
cp $dest-build/_core*.so $dest/albench_core/
