"""Pictures of what a training or a search found, in the form of scikit-learn's displays."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from sklearn_bert.search_results import SearchResults

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FreezeDepthDisplay", "LayerPoolingDisplay", "TrainingCurveDisplay"]

_SCORE_COLOR, _TIME_COLOR, _RATE_COLOR = "C0", "0.8", "0.9"


class Display:
    """What all displays share: axes to draw on."""

    ax_: Axes
    figure_: Figure

    def _axes(self, ax: Axes | None) -> Axes:
        """Set and return the axes, new ones if none are given."""
        try:
            from matplotlib import pyplot
        except ImportError as error:
            raise ImportError(
                f"{type(self).__name__} needs matplotlib. Install it: pip install "
                f"'sklearn-bert[plot]'."
            ) from error
        self.ax_ = pyplot.subplots()[1] if ax is None else ax
        self.figure_ = self.ax_.figure  # type: ignore[assignment]
        return self.ax_


class TrainingCurveDisplay(Display):
    """Losses, validation score and learning rate over the epochs of a fit.

    Where gradual unfreezing opens another layer there is a dotted line.

    Parameters
    ----------
    history : list of dict
        As `history_` of a fitted estimator has it.
    score_name : str, default="validation score"
        What the score is called.

    Attributes
    ----------
    ax_ : matplotlib Axes
        With the losses.
    score_ax_ : matplotlib Axes or None
        With the validation score; None without validation data.
    rate_ax_ : matplotlib Axes
        With the highest learning rate, as an area behind the lines.
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from sklearn_bert import BertFineTuneClassifier, TrainingCurveDisplay
    >>> texts = ["What a wonderful film", "Dull from start to end", "I loved it", "Boring"]
    >>> labels = ["good", "bad", "good", "bad"]
    >>> classifier = BertFineTuneClassifier(freeze="all").fit(texts, labels)
    >>> display = TrainingCurveDisplay.from_estimator(classifier)
    >>> print(display.ax_.get_xlabel())
    Epoch
    """

    def __init__(
        self, *, history: list[dict[str, float]], score_name: str = "validation score"
    ) -> None:
        self.history = history
        self.score_name = score_name

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, score_name: str = "validation score", ax: Axes | None = None
    ) -> TrainingCurveDisplay:
        """Draw the training of a fitted estimator.

        Parameters
        ----------
        estimator : object
            One that fine-tunes, a Pipeline that ends with one, or a search that was refit on one.
        score_name : str, default="validation score"
            What the score is called.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If it is none that fine-tunes.
        """
        from sklearn.utils.validation import check_is_fitted

        best = getattr(estimator, "best_estimator_", estimator)
        last = best.steps[-1][1] if hasattr(best, "steps") else best
        if not hasattr(last, "history_") and not hasattr(last, "max_epochs"):
            raise TypeError(
                f"estimator is a {type(estimator).__name__} without a history of training. "
                f"Accepted: one that fine-tunes, a Pipeline that ends with one, or a search with "
                f"refit=True that was fitted on one."
            )
        check_is_fitted(last, "history_")
        return cls(history=last.history_, score_name=score_name).plot(ax=ax)

    def plot(self, *, ax: Axes | None = None) -> TrainingCurveDisplay:
        """Draw, and return the display.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        """
        ax = self._axes(ax)
        from matplotlib.ticker import MaxNLocator

        self.rate_ax_, self.score_ax_ = ax.twinx(), None
        lines = [
            *self._line(ax, "train_loss", "training loss", color="C1"),
            *self._line(ax, "valid_loss", "validation loss", color="C1", linestyle="--"),
        ]
        if any("valid_score" in row for row in self.history):
            self.score_ax_ = ax.twinx()
            lines += self._line(self.score_ax_, "valid_score", self.score_name, color=_SCORE_COLOR)
            self.score_ax_.set_ylabel(self.score_name[:1].upper() + self.score_name[1:])
        lines.append(self._fill_rates(self.rate_ax_))
        self._mark_unfreezing(ax)
        ax.set(xlabel="Epoch", ylabel="Loss")
        ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))
        # Above, since the lines of two axes leave no place that is free in every training.
        ax.legend(handles=lines, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
        # Lines in front of the area.
        ax.set_zorder(self.rate_ax_.get_zorder() + 1)
        ax.patch.set_visible(False)
        return self

    def _line(self, ax: Axes, name: str, label: str, **style: Any) -> list[Any]:
        rows = [row for row in self.history if name in row]
        if not rows:
            return []
        epochs = [row["epoch"] for row in rows]
        return ax.plot(epochs, [row[name] for row in rows], marker="o", label=label, **style)

    def _mark_unfreezing(self, ax: Axes) -> None:
        """Draw a line where more layers train than in the epoch before."""
        counts = [(row["epoch"], row.get("n_trainable_parameters")) for row in self.history]
        trained = [(epoch, count) for epoch, count in counts if count is not None]
        for (_, before), (epoch, count) in pairwise(trained):
            if count > before:
                ax.axvline(epoch - 0.5, color="0.6", linestyle=":", linewidth=1)

    def _fill_rates(self, ax: Axes) -> Any:
        rows = [row for row in self.history if "lr" in row]
        highest = max((row["lr"] for row in rows), default=0.0)
        # The area takes the lower third; its height is told, since this axis has no ticks.
        ax.set(ylim=(0, 3 * highest or 1), yticks=[])
        epochs, rates = [row["epoch"] for row in rows], [row["lr"] for row in rows]
        label = f"learning rate, up to {highest:.1e}"
        return ax.fill_between(epochs, rates, color=_RATE_COLOR, label=label)


class FreezeDepthDisplay(Display):
    """Score over freeze depth, with the time that a fit took.

    Parameters
    ----------
    freeze : list of {"none", "embeddings", "all"} or int
        The depths.
    scores, deviations : array-like of shape (n_depths,)
        Mean score of each depth, and its standard deviation over folds.
    seconds : array-like of shape (n_depths,)
        Mean time of a fit.
    score_name : str, default="score"
        What the score is called.

    Attributes
    ----------
    ax_, time_ax_ : matplotlib Axes
        With the scores, and with the times.
    figure_ : matplotlib Figure

    Notes
    -----
    Frozen layers run once for all fits of a search; whichever fit comes first has their time in its
    own.

    Depths that train less are drawn first. Those below 0 count layers from the top, others from the
    bottom, and a search does not tell how many layers there are: all below 0 come before the rest,
    -4 before 9 of 12 layers, which trains fewer. Search over depths of one kind for a plain order.

    Examples
    --------
    >>> from sklearn_bert import FreezeDepthDisplay
    >>> display = FreezeDepthDisplay(
    ...     freeze=["none", "all"], scores=[0.9, 0.8], deviations=[0.01, 0.02], seconds=[60, 2]
    ... )
    >>> print([label.get_text() for label in display.plot().ax_.get_xticklabels()])
    ['all', 'none']
    """

    def __init__(
        self, *, freeze: Any, scores: Any, deviations: Any, seconds: Any, score_name: str = "score"
    ) -> None:
        self.freeze = freeze
        self.scores = scores
        self.deviations = deviations
        self.seconds = seconds
        self.score_name = score_name

    @classmethod
    def from_search(
        cls,
        search: Any,
        *,
        parameter: str = "freeze",
        metric: str = "score",
        score_name: str | None = None,
        ax: Axes | None = None,
    ) -> FreezeDepthDisplay:
        """Draw what a fitted search found; where other parameters vary too, the best of each depth.

        Of a search by halving, that is one of the last round that the depth was in.

        Parameters
        ----------
        search : GridSearchCV, RandomizedSearchCV or the like
            Fitted, over `freeze` of an estimator or of a step of a Pipeline.
        parameter : str, default="freeze"
            The parameter; of a step without its prefix.
        metric : str, default="score"
            Of several metrics the one to draw, by its name in ``cv_results_``.
        score_name : str, default=None
            What the score is called; None is the metric's name.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Raises
        ------
        ValueError
            If the search did not vary the parameter, or has no such metric.
        """
        results = SearchResults.of(search, metric)
        (name,) = results.names(parameter)
        best = results.best_by(results.values(name))
        return cls(
            freeze=list(best),
            scores=[results.scores[row] for row in best.values()],
            deviations=[results.deviations[row] for row in best.values()],
            seconds=[results.seconds[row] for row in best.values()],
            score_name=score_name or metric,
        ).plot(ax=ax)

    def plot(self, *, ax: Axes | None = None) -> FreezeDepthDisplay:
        """Draw, and return the display.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        """
        ax = self._axes(ax)
        order = sorted(range(len(self.freeze)), key=lambda row: _trained(self.freeze[row]))
        places = np.arange(len(order))
        self.time_ax_ = ax.twinx()
        self.time_ax_.bar(places, np.take(self.seconds, order), color=_TIME_COLOR, width=0.5)
        self.time_ax_.set(ylabel="Seconds a fit (bars)")
        ax.errorbar(
            places,
            np.take(self.scores, order),
            np.take(self.deviations, order),
            color=_SCORE_COLOR,
            marker="o",
            capsize=3,
        )
        labels = [str(self.freeze[row]) for row in order]
        ax.set(xlabel="freeze", ylabel=self.score_name, xticks=places, xticklabels=labels)
        ax.set_zorder(self.time_ax_.get_zorder() + 1)
        ax.patch.set_visible(False)
        return self


class LayerPoolingDisplay(Display):
    """Scores over layers and poolings of a featurizer, as a heat map.

    Parameters
    ----------
    layers, poolings : list
        What the columns and the rows are.
    scores : array-like of shape (n_poolings, n_layers)
        Mean scores; NaN where nothing was tried.
    score_name : str, default="score"
        What the score is called.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from sklearn_bert import LayerPoolingDisplay
    >>> display = LayerPoolingDisplay(
    ...     layers=[-2, -1], poolings=["cls", "mean"], scores=[[0.7, 0.8], [0.8, 0.9]]
    ... )
    >>> print([text.get_text() for text in display.plot().ax_.texts])
    ['0.700', '0.800', '0.800', '0.900']
    """

    def __init__(
        self, *, layers: Any, poolings: Any, scores: Any, score_name: str = "score"
    ) -> None:
        self.layers = layers
        self.poolings = poolings
        self.scores = scores
        self.score_name = score_name

    @classmethod
    def from_search(
        cls,
        search: Any,
        *,
        metric: str = "score",
        score_name: str | None = None,
        ax: Axes | None = None,
    ) -> LayerPoolingDisplay:
        """Draw what a fitted search found; where other parameters vary too, the best of each pair.

        Parameters
        ----------
        search : GridSearchCV, RandomizedSearchCV or the like
            Fitted, over `layers`, `pooling` or both of a featurizer.
        metric : str, default="score"
            Of several metrics the one to draw, by its name in ``cv_results_``.
        score_name : str, default=None
            What the score is called; None is the metric's name.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Raises
        ------
        ValueError
            If the search varied neither layers nor pooling, or has no such metric.
        """
        results = SearchResults.of(search, metric)
        layers, poolings = map(results.values, results.names("layers", "pooling"))
        pairs = zip(poolings, layers, strict=True)
        best = results.best_by([None if None in pair else pair for pair in pairs])
        rows, columns = (list(dict.fromkeys(values)) for values in zip(*best, strict=True))
        scores = np.full((len(rows), len(columns)), np.nan)
        for (pooling, layer), row in best.items():
            scores[rows.index(pooling), columns.index(layer)] = results.scores[row]
        display = cls(layers=columns, poolings=rows, scores=scores, score_name=score_name or metric)
        return display.plot(ax=ax)

    def plot(self, *, ax: Axes | None = None, cmap: str = "viridis") -> LayerPoolingDisplay:
        """Draw, and return the display.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        cmap : str, default="viridis"
            Colours, by matplotlib's names.
        """
        ax = self._axes(ax)
        scores = np.asarray(self.scores, dtype=float)
        image: Any = ax.imshow(scores, cmap=cmap, aspect="auto")
        self.figure_.colorbar(image, ax=ax, label=self.score_name)
        for (row, column), score in np.ndenumerate(scores):
            if np.isfinite(score):
                # Dark on bright and bright on dark.
                color = "black" if image.norm(score) > 0.5 else "white"
                ax.text(column, row, f"{score:.3f}", ha="center", va="center", color=color)
        ax.set_xticks(range(len(self.layers)), [str(layer) for layer in self.layers])
        ax.set_yticks(range(len(self.poolings)), [str(pooling) for pooling in self.poolings])
        ax.set(xlabel="layers", ylabel="pooling")
        return self


def _trained(freeze: Any) -> tuple[int, int]:
    """Return what orders depths by how much is trained."""
    words = {"all": (0, 0), "embeddings": (3, 0), "none": (4, 0)}
    if freeze in words:
        return words[freeze]
    return (1, -freeze) if freeze < 0 else (2, -freeze)
