#!/usr/bin/env bash
# A sweep as a job of Slurm, on as many nodes as it is given; all of them run trials.
#
#   make install                                      # once, in a checkout that all nodes see
#   ray get-auth-token --generate                     # once
#   sbatch --gpus-per-node=2 --nodes=4 clusters/slurm.sh spec.yaml
#
# Whatever sbatch is told goes before what stands here; a partition or account usually has to be told. Sweeps,
# checkpoints and MLflow's database lie in STORE, a folder that all nodes see; look at them with
# `mlflow ui --backend-store-uri sqlite:///STORE/mlflow.db`.
#
# Five minutes before its time is over the job ends the sweep as Ctrl-C would, and puts itself into the queue
# again, where it goes on. `scancel` ends it, and the same sbatch goes on.

#SBATCH --job-name=text-vae-sweep
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=12:00:00
#SBATCH --signal=B:USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log

set -euo pipefail
cd "$SLURM_SUBMIT_DIR"
export PATH="$PWD/.venv/bin:$PATH" RAY_AUTH_MODE=token MLFLOW_DISABLE_TELEMETRY=true
store=${STORE:-$PWD/store}
mkdir -p "$store"
ulimit -n 65536 2> /dev/null || ulimit -n "$(ulimit -Hn)"

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${nodes[0]}
port=$((20000 + SLURM_JOB_ID % 10000))
address=$(srun --nodes=1 --ntasks=1 --nodelist="$head" hostname --ip-address | awk '{print $1}')
folder=/tmp/ray-$SLURM_JOB_ID # of this job alone; several may share a node

ray=(ray start --block --disable-usage-stats --num-cpus="$SLURM_CPUS_PER_TASK")
srun --nodes=1 --ntasks=1 --nodelist="$head" "${ray[@]}" --head --node-ip-address="$address" --port="$port" \
  --dashboard-host=127.0.0.1 --temp-dir="$folder" > "$store/ray-$SLURM_JOB_ID.log" 2>&1 &
seconds=0
until ray status --address="$address:$port" > /dev/null 2>&1; do
  ((seconds++ < 60)) || { echo "error: Ray does not start on $head: $store/ray-$SLURM_JOB_ID.log" >&2; exit 1; }
  sleep 2
done
if ((${#nodes[@]} > 1)); then
  srun --nodes=$((${#nodes[@]} - 1)) --ntasks=$((${#nodes[@]} - 1)) --exclude="$head" \
    "${ray[@]}" --address="$address:$port" >> "$store/ray-$SLURM_JOB_ID.log" 2>&1 &
fi

RAY_ADDRESS="$address:$port" python -m orchestrator.sweep "$@" --go-on \
  --storage "$store/sweeps" --tracking-uri "sqlite:///$store/mlflow.db" &
sweep=$!
again=
trap 'again=yes; kill -INT $sweep' USR1
trap 'kill -INT $sweep' TERM
status=0
while kill -0 "$sweep" 2> /dev/null; do # a signal ends the waiting, and not the sweep
  status=0
  wait "$sweep" || status=$?
done
[ -z "$again" ] || scontrol requeue "$SLURM_JOB_ID"
exit "$status"
