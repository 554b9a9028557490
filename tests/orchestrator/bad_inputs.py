"""Inputs that cannot be, of every kind: what is typed, what is in the files, what is in the environment.

`FILES` name what a case needs; each case is a command, and what its last line of errors says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

TEXT = "a b c\nb c\nc a\na\nb\nc\na c\n"
LABELLED = "x\ta b\ny\tb c\nx\tc\ny\ta\nx\tb a\ny\tc c\n"
TRAIN = {"d/train.txt": TEXT, "d/valid.txt": "a b\n", "d/test.txt": "b a\n"}


@dataclass(frozen=True)
class Bad:
    """A command that is refused.

    Attributes:
        command: its words behind `python -m`.
        said: a part of what it says, `{here}` standing for the folder.
        files: by name, as text or as bytes.
    """

    command: str
    said: str
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


def spec(text: str | bytes, said: str, files: Mapping[str, str | bytes] | None = None) -> Bad:
    return Bad("orchestrator.sweep s.yaml", said, {"s.yaml": text, **(files or {})})


def sweep(options: str, said: str, files: Mapping[str, str | bytes] | None = None, **environment: str) -> Bad:
    return Bad(f"orchestrator.sweep {options}", said, files or {}, environment)


def corpus(text: str | bytes, said: str) -> Bad:
    return sweep("--corpus t.txt", said, {"t.txt": text})


SPECS = [
    spec("trails: 3", "s.yaml:1: unknown key 'trails'; did you mean 'trials'?"),
    spec("trials: 3\ntrials: 4", "s.yaml:2"),
    spec("trials: many", "s.yaml:1: trials must be an integer, got 'many'"),
    spec("trials: 0", "s.yaml:1: trials must be >= 1, got 0"),
    spec("trials: 1.5", "s.yaml:1: trials must be an integer, got 1.5"),
    spec("epochs: -3", "s.yaml:1: epochs must be auto, a number of epochs >= 1, or"),
    spec("epochs: {planned: 9, most: 3}", "with 1 <= planned <= most, got {'planned': 9, 'most': 3}"),
    spec("epochs: {plan: 9}", "got {'plan': 9}"),
    spec("epochs: yes", "with 1 <= planned <= most, got True"),
    spec("seed: 4294967296", "s.yaml:1: seed must be <= 4294967295, got 4294967296"),
    spec("seed: -1", "s.yaml:1: seed must be >= 0, got -1"),
    spec("name: a/b", "s.yaml:1: name must be 1 to 100 of the characters"),
    spec("name: 2024", "s.yaml:1: name must be text, got 2024; put text in quotes"),
    spec("variants: []", "s.yaml:1: variants must name at least one, got []"),
    spec("variants: [vanila]", "no variant 'vanila'; did you mean 'vanilla'?"),
    spec("variants: [vanilla, vanilla]", "s.yaml:1: variants must differ, got 'vanilla' twice"),
    spec("variants: 3", "s.yaml:1: variants must be a list of names or a mapping of names, got 3"),
    spec("variants:\n  vanilla:\n    knob: {}", "s.yaml:3: unknown key 'knob'; did you mean 'knobs'?"),
    spec("variants: [language_model]", "language_model"),
    spec("knobs: {cicles: 3}", "s.yaml:1: no chosen variant has a knob 'cicles'"),
    spec("knobs: {word_keep_rate: 2.0}", "word_keep_rate must be in [0, 1], got 2.0"),
    spec("knobs: {hidden_size: 0}", "hidden_size must be >= 1, got 0"),
    spec("knobs: {learning_rate: .nan}", "learning_rate must be finite, got nan"),
    spec("knobs: {batch_size: big}", "batch_size must be of type int, got 'big'"),
    spec("knobs: {decoder: gru}", "decoder must be one of lstm, dilated, got 'gru'"),
    spec("knobs: [1]", "s.yaml:1: knobs must be a mapping, got [1]"),
    spec("variants: [cyclical]\nranges: {cycles: [5, 1]}", "s.yaml:2: "),
    spec(
        "variants: [cyclical]\nranges: {cycles: [1, 3]}\nknobs: {cycles: 2}",
        "cycles must be fixed or",
    ),
    spec("variants: [cyclical]\nranges: {cycles: {choices: []}}", "s.yaml:2: "),
    spec("variants: [cyclical]\nranges: {cycles: three}", "s.yaml:2: "),
    spec("variants: [batch_norm]\nknobs: {batch_size: 1}", "latent=batch_norm needs batch_size >= 2"),
    spec("variants: [vq]\nknobs: {beta: 0.5}", "latent=vq takes no schedule, beta"),
    spec("resources: {cpus: 0}", "s.yaml:1: resources.cpus must be > 0, got 0"),
    spec("resources: {cpus: 4096}", "resources.cpus of a trial must be <= "),
    spec("resources: {gpus: 64}", "resources.gpus of a trial must be <= "),
    spec("resources: {gpus: 1.5}", "resources.gpus must be whole above 1, got 1.5"),
    spec("resources: [1]", "s.yaml:1: resources must be a mapping, got [1]"),
    spec("vocabulary_size: 4", "s.yaml:1: vocabulary_size must be >= 5, got 4"),
    spec("max_sentences: 1", "s.yaml:1: max_sentences must be >= 2, got 1"),
    spec("deduplicate: maybe", "s.yaml:1: deduplicate "),
    spec("preset: referense", "referense"),
    spec("models: best", "s.yaml:1: models "),
    spec("tracking_uri: mlflow.db", "s.yaml:1: tracking_uri must be an address such as"),
    spec("tracking_uri: 'sqlite:///'", "s.yaml:1: tracking_uri must be an address such as"),
    spec("tracking_uri: 'file:./mlruns'", "MLflow itself gives up its stores of files"),
    spec("tracking_uri: 'sqlite:///~nobody-here/m.db'", "tracking_uri must begin with a home that exists"),
    spec("storage: s3://bucket/x", "s.yaml:1: storage must be a path that every node sees"),
    spec("storage: ~nobody-here/x", "storage must begin with a home that exists"),
    spec("storage: s.yaml", "storage must be a folder that can be written"),
    spec("checkpoints: ~nobody-here/x", "checkpoints must begin with a home that exists"),
    spec("corpus: ~nobody-here/x", "corpus must begin with a home that exists"),
    spec("corpus: 3", "s.yaml:1: corpus must be a path, got 3"),
    spec("corpus: ptbb:x", "corpus must be embedded, a path, or begin with one of"),
    spec("a: [", "s.yaml:"),
    spec("- 1", "s.yaml:1: a spec must be a mapping of keys to values, got [1]"),
    spec("just words", "s.yaml:1: a spec must be a mapping of keys to values"),
    spec(b"name: \xff", "s.yaml"),
    spec(b"name: a\x00b", "s.yaml:1"),
    spec("\ttrials: 3", "s.yaml:1"),
    spec("a: &x [*x]", "s.yaml"),
    spec("trials: !!python/object:os.system 3", "s.yaml"),
]

OPTIONS = [
    sweep("absent.yaml", "absent.yaml: a spec must be a file that can be read"),
    sweep(".", ".: a spec must be a file that can be read"),
    sweep("--trials x", "Invalid value for '--trials'"),
    sweep("--trials 0", "--trials: trials must be >= 1, got 0"),
    sweep("--set cycles", "--set: must be KNOB=VALUE, got 'cycles'"),
    sweep("--set cycles=", "--set: must be KNOB=VALUE, got 'cycles='"),
    sweep("--set nonsense=3", "nonsense"),
    sweep("--set hidden_size=x", "hidden_size must be of type int, got 'x'"),
    sweep("--variants nope", "no variant 'nope'"),
    sweep("--variants ,", "variant"),
    sweep("--gpus -1", "--gpus: resources.gpus must be >= 0.0, got -1.0"),
    sweep("--max-concurrent 0", "--max-concurrent: max_concurrent must be >= 1, got 0"),
    sweep("--preset nope", "nope"),
    sweep("--resume nothing", "--resume: no sweep 'nothing' in {here}/sweeps; known: none"),
    sweep("--resume a --trials 3", "--resume: the sweep's saved spec holds"),
    sweep("--replay-outbox nothing", "--replay-outbox: no sweep 'nothing'"),
    sweep("--replay-outbox a --resume b", "--replay-outbox: must be given without --resume, got both"),
    sweep("--nonsense", "No such option"),
    sweep("--name x", "name must be new in {here}/sweeps, got 'x'", {"sweeps/x/y": ""}),
    sweep("--tracking-uri sqlite:///d", "tracking_uri must name a file, got a folder", {"d/x": ""}),
    sweep("--tracking-uri sqlite:///t", "tracking_uri must name an SQLite database", {"t": "text"}),
    sweep("--storage t/x", "storage must be a folder that can be written", {"t": "text"}),
    Bad("orchestrator.report nothing", "the tracking URI must be that of a database that exists"),
    Bad("orchestrator.report a a", "SWEEP must name different sweeps, got 'a' twice"),
    Bad("orchestrator.report a --output no/x", "--output must be a file in a folder that exists"),
    Bad("orchestrator.report a --format pdf", "Invalid value for '--format'"),
    Bad("orchestrator.report", "Missing argument 'SWEEP"),
    Bad("orchestrator.reproduce a/b", "the tracking URI must be that of a database that exists"),
    Bad("orchestrator.posterior_means --variants nope", "no variant 'nope'"),
    Bad("orchestrator.posterior_means --epochs 0", "epochs"),
    Bad("orchestrator.posterior_means --out t/x", "--out must be a folder to write to", {"t": "text"}),
    Bad("trainables.train --variant nope", "no variant 'nope'"),
    Bad("trainables.train --epochs 0", "epochs must be >= 1, got 0"),
    Bad("trainables.train --set x=1", "no knob 'x'"),
    Bad("trainables.train --device tpu9", "--device must be one that torch can use here, got 'tpu9'"),
    Bad("trainables.train --json no/x", "--json must be a file that can be written"),
    Bad("trainables.train --corpus datasets:x", "datasets: is read by"),
    Bad("trainables.train --corpus-digest 00", "--corpus-digest: the corpus must be as it was"),
]

CORPORA = [
    sweep("--corpus absent", "got a path that does not exist: {here}/absent"),
    sweep("--corpus d", "a corpus folder has one file for train", {"d/x": "a"}),
    sweep("--corpus d", "a corpus folder has one file for test", {"d/train.txt": TEXT, "d/valid.txt": TEXT}),
    sweep("--corpus d", "got dev.txt and valid.txt", {**TRAIN, "d/dev.txt": "a\n"}),
    sweep("--corpus d", "all files of a corpus have labels or none has", {**TRAIN, "d/test.txt": "x\ta\n"}),
    sweep(
        "--corpus d",
        "every label of test occurs in train, got 'z': {here}/d/test.txt:2",
        {"d/train.txt": LABELLED, "d/valid.txt": LABELLED, "d/test.txt": "x\ta\nz\tb\n"},
    ),
    sweep(
        "--corpus d --deduplicate",
        "holds at least one sentence, got none: {here}/d/train.txt",
        {"d/train.txt": "a\nb\n", "d/valid.txt": "a\n", "d/test.txt": "b\n"},
    ),
    sweep(
        "--corpus d --variants conditional",
        "condition=label (conditional) must have label<TAB>",
        TRAIN,
    ),
    sweep(
        "--corpus d --variants batch_norm",
        "got 100 % of the training sentences in batches of one",
        {"d/train.txt": "a\na b\na b c\n", "d/valid.txt": "a\n", "d/test.txt": "b\n"},
    ),
    sweep("--corpus ptb:absent", "absent"),
    sweep("--corpus snli:d", "d", {"d/x": ""}),
    sweep("--corpus datasets:absent/../x", "a dataset is a folder that exists"),
    sweep("--corpus datasets:x,text=", "behind a dataset stand config=NAME"),
    corpus("", "a corpus file holds at least one sentence, got none: {here}/t.txt"),
    corpus("\n \n\t\n", "{here}/t.txt"),
    corpus("a\nb\n", "a file to split has at least 4 sentences, got 2: {here}/t.txt"),
    corpus(b"a b\nc \xff\n", "a corpus file is UTF-8, got byte 0xff: {here}/t.txt:2"),
    corpus(b"a b\nc \x00\n", "a corpus file is UTF-8 text, got a NUL byte: {here}/t.txt:2"),
    corpus("a\rb\rc\rd\r", "a line ends with LF or CR LF, got a CR alone: {here}/t.txt:1"),
    corpus(
        "a\nb \ufeffc\nd\n",
        "begins a file or a line, got one inside: {here}/t.txt:2",
    ),
    corpus("a\nb <s>\nc\nd\n", "are reserved and stand in no text, got <s>: {here}/t.txt:2"),
    corpus("x\ta\ny\nz\tc\nx\td\n", "either every line has exactly one tab"),
    corpus("x\ta\n\tb\nx\tc\nx\td\n", "got an empty label: {here}/t.txt:2"),
    corpus("x\ta\nx\t \nx\tc\nx\td\n", "got an empty sentence: {here}/t.txt:2"),
    corpus("<unk>\n" * 9, "the training sentences hold a word other than <unk>, got none: {here}/t.txt"),
]

ENVIRONMENT = [
    sweep("", "RAY_ADDRESS must be HOST:PORT, ray://HOST:PORT or auto, got 'http://127.0.0.1:1'",
          RAY_ADDRESS="http://127.0.0.1:1"),
    sweep("", "got '127.0.0.1:1': Connection refused", RAY_ADDRESS="127.0.0.1:1"),
    sweep("", "got 'ray://127.0.0.1:1': Connection refused", RAY_ADDRESS="ray://127.0.0.1:1"),
    sweep("", "RAY_ADDRESS=auto must find a running Ray, got none", RAY_ADDRESS="auto", RAY_TMPDIR="{here}"),
    sweep("", "tracking_uri must be an address such as", MLFLOW_TRACKING_URI="mlruns"),
    sweep("", "MLflow itself gives up its stores of files", MLFLOW_TRACKING_URI="file:./mlruns"),
    Bad("orchestrator.report a", "must be that of a database that exists", {}, {"MLFLOW_TRACKING_URI": "sqlite:///x"}),
]  # fmt: skip

ALL = [*SPECS, *OPTIONS, *CORPORA, *ENVIRONMENT]
