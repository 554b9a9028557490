"""SweepSpec: everything that a sweep is asked to do, from a YAML file and from options."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_serializer,
    field_validator,
    model_validator,
)

from orchestrator.common.addresses import SQLITE, home_expanded, sqlite_address, sqlite_file, utf8_path
from orchestrator.common.problems import without_password
from orchestrator.spec.budget import Budget
from orchestrator.spec.dataset_source import DatasetSource
from orchestrator.spec.errors import KeyPath, SpecError, lines, problems_of, shown
from orchestrator.spec.file import SpecFile, dump, read_spec_file
from orchestrator.spec.length import AUTO, Length
from orchestrator.spec.options import with_options
from orchestrator.spec.sections import EMPTY, Entries, Overrides, Resources, Search
from trainables.text.named_corpora import NAMED_KINDS
from trainables.text.sources import USUAL, CorpusSource, Embedded, absolute, parse_source
from trainables.training.presets import Preset, load_preset, usual_preset
from trainables.variants import BASELINE, variant_names

if TYPE_CHECKING:
    from orchestrator.spec.overrides import Changes, VariantPlan

SPEC_FILE = "sweep.yaml"
_DEFAULT = ("vanilla", "annealed", "dilated", "cyclical", "aggressive")
_NEEDS_LABELS = "conditional"
_ALL = "all"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_STRICT = ConfigDict(frozen=True, extra="forbid", strict=True)
_LARGEST_SEED = 2**32 - 1
_TRACKING = (SQLITE, "http://", "https://", "postgresql", "mysql", "mssql", "databricks")
_BY_DEFAULT: Any = None  # replaced by the field's validator
_CORPUS_KINDS = {**NAMED_KINDS, "datasets": DatasetSource.parse}

Count = Annotated[int, Field(ge=1)]


class SweepSpec(BaseModel):
    """A sweep, checked when it is made. Relative paths are taken from the working directory, at once.

    Attributes:
        corpus: where the text comes from.
        name: of the sweep and its folder; by default the corpus and the time.
        vocabulary_size: the most words to keep; None keeps all; "usual" is replaced by what the corpus says.
        max_sentences: the most training sentences to keep; None keeps all.
        deduplicate: whether a sentence that stands in several splits is left in the last of them alone.
        preset: of a published training procedure, whose knobs are filled in under what else is said.
        variants: those to search, with the changes that hold for one of them alone.
        trials: configurations that are tried for each variant.
        search: objective, sampler, constraints and when a trial is stopped.
        budget: what the sweep may cost at most.
        epochs: of each trial; by default those of the preset, or "auto".
        seed: of everything random.
        baseline_seeds: seeds of each baseline; of one that no variant is sure to need, once it is needed.
        baseline_trials: configurations that are tried for each baseline, where the top of the spec searches
            what it has in common with its variants; None is as many as `trials`, 0 leaves it as it is.
        replicates: how often each variant's best configuration is run again on a fresh seed, if it uses its
            latent variable.
        max_replicates: up to how many seeds one gets while these do not decide; None is twice `replicates`.
        knobs: fixed in each chosen variant that has them, and in the baselines; with those of the preset.
        ranges: searched in each chosen variant that has them, instead of or beside its own ranges.
        resources: of each trial.
        max_concurrent: the most trials at a time; None is as many as the resources allow.
        iw_samples, iw_sentences: of the importance-weighted NLL at the end of each trial.
        final_iw_samples, final_iw_sentences: of that of the runs that are examined after the search; None
            takes the whole test split, and so does what so many sentences do not decide.
        final_iw_tolerance: samples of z are drawn until what they add to the error of that NLL is this share
            of its standard error over sentences; 0 draws all.
        models: which trials' weights become MLflow models: those on the frontier, those of all trials that
            finished, none.
        tracking_uri: of MLflow; the environment's MLFLOW_TRACKING_URI goes before the default.
        storage: the folder where sweeps have their folders.
        checkpoints: where trials keep their checkpoints, a path or an address such as s3://bucket/sweeps
            that all nodes of a cluster share; None is the sweep's folder.
    """

    model_config = _STRICT | ConfigDict(arbitrary_types_allowed=True)

    corpus: CorpusSource = Embedded()
    name: str = Field(default=_BY_DEFAULT, validate_default=True)
    vocabulary_size: Annotated[int, Field(ge=5)] | None = Field(default=USUAL, validate_default=True)
    max_sentences: Annotated[int, Field(ge=2)] | None = None
    deduplicate: bool = False
    preset: str | None = None
    variants: dict[str, Overrides] = Field(default=_BY_DEFAULT, validate_default=True)
    trials: Count = 3
    search: Annotated[Search, EMPTY] = Search()
    budget: Annotated[Budget, EMPTY] = Budget()
    epochs: Length = Field(default=_BY_DEFAULT, validate_default=True)
    seed: Annotated[int, Field(ge=0, le=_LARGEST_SEED)] = 0
    baseline_seeds: Count = 5
    baseline_trials: Annotated[int, Field(ge=0)] | None = None
    replicates: Annotated[int, Field(ge=0)] = 3
    max_replicates: Annotated[int, Field(ge=0)] | None = None
    knobs: Entries = {}
    ranges: Entries = {}
    resources: Annotated[Resources, EMPTY] = Resources()
    max_concurrent: Count | None = None
    iw_samples: Count = 25
    iw_sentences: Count = 200
    final_iw_samples: Count = 500
    final_iw_sentences: Count | None = 200
    final_iw_tolerance: Annotated[float, Field(ge=0, lt=1)] = 0.1
    models: Literal["frontier", "all", "none"] = "frontier"
    tracking_uri: str = Field(
        default_factory=lambda: os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db",
        validate_default=True,
    )
    storage: Path = Field(default=Path("sweeps"), strict=False, validate_default=True)
    checkpoints: str | None = None

    @classmethod
    def load(cls, path: Path | None = None, options: Mapping[str, Any] | None = None) -> Self:
        """The spec of a file with options over it.

        Args:
            path: YAML; without one all is default.
            options: by the names of the command's options with "_" for "-"; one that is None is not given.

        Raises:
            SpecError: naming the line or the option of each problem, at most 10 of them.
        """
        source = with_options(read_spec_file(path) if path else SpecFile(), options or {})
        try:
            return cls.model_validate(source.data)
        except ValidationError as error:
            problems = sorted(problems_of(error, _known_keys), key=lambda problem: source.line(problem.path))
            raise SpecError(lines(problems, source.where)) from None

    def to_yaml(self) -> str:
        """The spec with all defaults filled in; loads back to an equal one."""
        return dump(self.model_dump(mode="json"))

    @property
    def folder(self) -> Path:
        """Where the sweep keeps its spec, its checkpoints and its report."""
        return self.storage / self.name

    @property
    def checkpoint_folder(self) -> str:
        """The path or address below which the trials of this sweep keep their checkpoints."""
        return f"{self.checkpoints}/{self.name}" if self.checkpoints else str(self.folder)

    @property
    def most_replicates(self) -> int:
        """`max_replicates`, or its default."""
        return 2 * self.replicates if self.max_replicates is None else self.max_replicates

    def search_spaces(self, longest: int | None = None) -> dict[str, VariantPlan]:
        """The fixed knobs and the distributions of each variant; `longest` is the longest sentence's words,
        with `</s>`, where the corpus is known."""
        return {plan.variant: plan for plan in self._plans(longest)}

    @property
    def most_baseline_trials(self) -> int:
        """`baseline_trials`, or its default."""
        return self.trials if self.baseline_trials is None else self.baseline_trials

    def baselines(self, longest: int | None = None) -> list[VariantPlan]:
        """The language model for each decoder in use."""
        from orchestrator.spec.baselines import plan_baselines

        _, shared = self._changes()
        return plan_baselines(self._plans(longest), shared)

    def _plans(self, longest: int | None = None) -> list[VariantPlan]:
        # Imported here: the parts bring torch, and what is wrong with a single field shows without it.
        from orchestrator.spec.overrides import plan_variants
        from search_spaces.space import Extent

        return plan_variants(*self._changes(), extent=Extent(self.epochs.planned, longest))

    def _changes(self) -> tuple[dict[str, Changes], Changes]:
        """What is said of each chosen variant, and of all."""
        from orchestrator.spec.overrides import Changes

        below = {
            name: Changes(own.knobs, own.ranges, ("variants", name)) for name, own in self.variants.items()
        }
        return below, Changes(self.knobs, self.ranges)

    def _fill_in(self, preset: Preset) -> None:
        """Puts the preset's knobs with the others, so that the saved spec holds them."""
        from orchestrator.spec.preset_knobs import with_preset

        knobs, below = with_preset(preset, *self._changes())
        variants = {
            name: Overrides(knobs=below[name], ranges=own.ranges) for name, own in self.variants.items()
        }
        vars(self).update(knobs=knobs, variants=variants)  # frozen, but not made yet

    @model_validator(mode="after")
    def _check_plans(self) -> Self:
        preset = load_preset(self.preset) if self.preset else usual_preset(str(self.corpus))
        if preset is not None:
            self._fill_in(preset)
        self.baselines()
        return self

    @field_validator("corpus", mode="before")
    @classmethod
    def _source(cls, value: object) -> CorpusSource:
        if value is None:
            return Embedded()
        if isinstance(value, CorpusSource):
            return value
        return parse_source(_path("corpus", value), _CORPUS_KINDS)

    @field_validator("vocabulary_size", mode="before")
    @classmethod
    def _usual_size(cls, value: object, info: ValidationInfo) -> object:
        return info.data.get("corpus", Embedded()).usual_vocabulary_size if value == USUAL else value

    @field_validator("storage", mode="before")
    @classmethod
    def _absolute(cls, value: object) -> Path:
        return absolute(Path(_path("storage", value)))

    @field_validator("checkpoints")
    @classmethod
    def _absolute_unless_address(cls, value: str | None) -> str | None:
        if value is None or "://" in value:
            return value
        return os.path.abspath(utf8_path("checkpoints", home_expanded("checkpoints", value)))

    @field_validator("name", mode="before")
    @classmethod
    def _named(cls, value: object, info: ValidationInfo) -> object:
        if value is None:
            return _default_name(info.data.get("corpus", Embedded()))
        if isinstance(value, str) and not _NAME.fullmatch(value):
            rule = "1 to 100 of the characters A-Z a-z 0-9 . _ - and begin with a letter or digit"
            raise ValueError(f"name must be {rule}, got {shown(value)}")
        return value

    @field_validator("epochs", mode="before")
    @classmethod
    def _length(cls, value: object, info: ValidationInfo) -> Length:
        if value is None:
            preset = info.data.get("preset")
            value = AUTO if preset is None else load_preset(preset).epochs
        return Length.parse(value)

    @field_validator("variants", mode="before")
    @classmethod
    def _with_overrides(cls, value: object) -> object:
        if value is None:
            value = {name: {} for name in _DEFAULT}
        elif value == _ALL:
            value = {name: {} for name in _all_variants()}
        elif value in ([], {}):
            raise ValueError(f"variants must name at least one, got {shown(value)}")
        elif isinstance(value, dict):
            value = {name: {} if own is None else own for name, own in value.items()}
        elif isinstance(value, list) and all(isinstance(name, str) for name in value):
            value = [each for name in value for each in (_all_variants() if name == _ALL else (name,))]
            twice = [name for index, name in enumerate(value) if name in value[:index]]
            if twice:
                raise ValueError(f"variants must differ, got {twice[0]!r} twice")
            value = {name: {} for name in value}
        else:
            raise ValueError(f"variants must be a list of names or a mapping of names, got {shown(value)}")
        return value

    @field_validator("max_replicates")
    @classmethod
    def _not_fewer(cls, value: int | None, info: ValidationInfo) -> int | None:
        least = info.data.get("replicates", 0)
        if value is not None and value < least:
            raise ValueError(f"max_replicates must be >= replicates, {least}, got {value}")
        return value

    @field_validator("preset")
    @classmethod
    def _known_preset(cls, value: str | None) -> str | None:
        return None if value is None else load_preset(value).name

    @field_validator("tracking_uri")
    @classmethod
    def _absolute_database(cls, value: str) -> str:
        if not value.startswith(_TRACKING) or value == SQLITE:
            rule = "an address such as sqlite:///mlflow.db or http://127.0.0.1:5000"
            folders = "; MLflow itself gives up its stores of files" if value.startswith("file:") else ""
            raise ValueError(f"tracking_uri must be {rule}, got {shown(without_password(value))}{folders}")
        if value.startswith(f"{SQLITE}~"):
            value = sqlite_address(home_expanded("tracking_uri", value.removeprefix(SQLITE)))
        file = sqlite_file(value)
        return value if file is None else sqlite_address(utf8_path("tracking_uri", file))

    @field_serializer("variants")
    def _without_empty(self, value: dict[str, Overrides]) -> list[str] | dict[str, dict[str, Any]]:
        short = {name: own.model_dump(exclude_defaults=True) for name, own in value.items()}
        return short if any(short.values()) else list(short)

    @field_serializer("tracking_uri")
    def _without_password(self, value: str) -> str:
        return without_password(value)

    @field_serializer("corpus")
    def _named_corpus(self, value: CorpusSource) -> str:
        return str(value)


def _all_variants() -> list[str]:
    """As `trainables.model.variant.variant_names`, without torch; those that any corpus will do for."""
    names = {*variant_names()} - {BASELINE, _NEEDS_LABELS}
    return [*_DEFAULT, *sorted(names - set(_DEFAULT))]


def _path(key: str, value: object) -> str:
    if not isinstance(value, str | Path) or not str(value) or "\0" in str(value):
        raise ValueError(f"{key} must be a path, got {shown(value)}")
    if "://" in str(value):
        raise ValueError(f"{key} must be a path that every node sees, got {shown(value)}")
    path = home_expanded(key, str(value)) if str(value).startswith("~") else value
    utf8_path(key, Path(path))
    return str(path)


def _default_name(corpus: CorpusSource) -> str:
    """The corpus's name, made to fit, and the time."""
    fitting = re.sub(r"[^A-Za-z0-9._-]+", "-", corpus.name).strip("._-")[:80] or "corpus"
    return f"{fitting}-{datetime.now():%Y%m%d-%H%M%S}"


def _known_keys(path: KeyPath) -> Iterable[str]:
    models: dict[str, type[BaseModel]] = {
        "budget": Budget, "resources": Resources, "search": Search, "variants": Overrides
    }  # fmt: skip
    return (models[str(path[0])] if path else SweepSpec).model_fields
