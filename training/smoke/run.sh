#!/bin/sh
# Every stage, a few steps each on mock scenes, and one stage resumed: `sh smoke/run.sh` in training/ (two minutes).
set -eu
export OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=1
rm -rf runs/smoke runs/smoke-data
python3 smoke/mock_scenes.py runs/smoke-data 32
where="--data runs/smoke-data --runs runs/smoke"
short="$where --batch 8 --warmup 2 --eval-scenes 16"
python3 tokenizer.py $where
python3 train_clip.py $short --steps 4
python3 train_detector.py $short --steps 8 --pretext-steps 4
python3 train_detector.py $short --steps 12 --pretext-steps 4 --resume
python3 train_sam.py $short --steps 6
python3 compose_tokens.py $where --shard 20
python3 train_language.py $short --steps 6
python3 train_language.py $short --steps 4 --baseline
python3 export.py --runs runs/smoke
python3 evaluate.py $where --scenes 8 --budgets 8 24 --probe-scenes 16
python3 agree.py $where --scenes 3
python3 smoke/check_packing.py runs/smoke runs/smoke-data
