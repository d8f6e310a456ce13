#!/bin/sh
# Every stage, a few steps each on mock scenes, and one stage resumed: `sh smoke/run.sh` in training/ (two minutes).
set -eu
export OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=1
rm -rf runs/smoke runs/smoke-data
python3 smoke/mock_scenes.py runs/smoke-data 32
# untrained detectors find nothing: every box passes here, so that objects go through all stages
mkdir -p runs/smoke
sed 's/"score_threshold": [0-9.]*/"score_threshold": 0.0001/; s/"box_nms": [0-9.]*/"box_nms": 0.9/' mask_llava.json > runs/smoke/mask_llava.json
where="--data runs/smoke-data --runs runs/smoke"
short="$where --batch 8 --warmup 2 --eval-scenes 16"
python3 tokenizer.py $where
python3 train_clip.py $short --steps 4
python3 train_detector.py $short --steps 8 --pretext-steps 4
python3 train_detector.py $short --steps 12 --pretext-steps 4 --resume
python3 train_sam.py $short --steps 6
python3 compose_tokens.py $where --settings runs/smoke/mask_llava.json --shard 20
python3 train_language.py $short --settings runs/smoke/mask_llava.json --steps 6
python3 train_language.py $short --settings runs/smoke/mask_llava.json --steps 4 --baseline
python3 export.py --runs runs/smoke --settings runs/smoke/mask_llava.json
python3 evaluate.py $where --settings runs/smoke/mask_llava.json --scenes 8 --budgets 8 24 --probe-scenes 16
python3 agree.py $where --settings runs/smoke/mask_llava.json --scenes 3
python3 smoke/check_packing.py runs/smoke runs/smoke-data
