"""Runtime shape checks for all tests, and the data and trainers that several of them share."""

import jaxtyping

# Before anything imports the packages, so that every annotation is checked while testing.
jaxtyping.install_import_hook(
    ["missrec_pl.nn", "missrec_pl.losses", "missrec_pl.metrics", "missrec_pl.clustering"], "beartype.beartype"
)

import functools  # noqa: E402
import gc  # noqa: E402
import importlib.metadata  # noqa: E402
import inspect  # noqa: E402
from pathlib import Path  # noqa: E402

import lightning as L  # noqa: E402
import omegaconf  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402
from hypothesis import settings  # noqa: E402
from memory_domain import MemoryDomain  # noqa: E402

from missrec_pl.data.synthetic import SyntheticDomains  # noqa: E402

torch.set_num_threads(1)

# Asked of the same few hundred texts and groups thousands of times; the answers are never changed.
omegaconf.base.parse = omegaconf._utils.parse = functools.lru_cache(4096)(omegaconf.base.parse)
importlib.metadata.entry_points = functools.cache(importlib.metadata.entry_points)
# A shared core makes single examples slow. `make test-all` tries more of them.
settings.register_profile("thorough", deadline=None, max_examples=100)
settings.register_profile("quick", deadline=None, max_examples=30)
settings.load_profile("quick")


# Tests of seconds whose claim a quicker one holds, too; `make test-all` runs them with those marked slow in place.
SLOWER = (
    "baselines/test_baseline_evaluation.py::test_no_framework_is_imported",
    "baselines/test_phase.py::test_the_command_prints_a_table_and_the_report_reads_the_file",
    "report/test_report_table.py::test_the_module_runs_as_a_command",
    "cli/test_library.py::test_serving_loads_neither_lightning_nor_hydra",
    "cli/test_entry_points.py::test_two_processes_train_and_evaluate_to_the_same_digits",
    "cli/test_stopping.py::test_a_signal_ends_a_compilation",
    "cli/test_stopping.py::test_ctrl_c_ends_what_does_not_end_by_itself",
    "clustering/test_dpc_knn.py::test_thousands_of_tokens",
    "clustering/test_processes.py::test_any_number_of_processes_gives_the_same_result[2-random",
    "clustering/test_dpc_knn.py::test_tiled_equals_dense_up_to_3000_tokens",
    "clustering/test_dpc_knn.py::test_all_neighbors_and_all_centers_of_thousands",
    "clustering/test_other_methods.py::test_every_token_is_at_its_nearest_prototype",
    "clustering/test_memory.py::test_memory_does_not_grow_with_the_square",
    "compat/test_runs.py::test_pretraining_from_the_command_line_then_finetuning_then_evaluation",
    *(
        f"config/test_instantiate.py::test_a_group_builds_by_itself[{name}"
        for name in ("data-overrides1", "logger", "callbacks", "model-overrides4", "model-overrides5")
    ),
    "doctor/test_doctor.py::test_no_compiled_kernels_are_loaded",
    "data/test_paper_size.py::test_memory_does_not_grow_with_the_data",
    "data/test_candidates.py::test_the_estimated_denominators_are_right_on_average[no folds]",
    *(
        f"data/test_training_batches.py::test_inclusion_probabilities_by_simulation[{name}"
        for name in ("False-prefix", "True-shifted", "True-cloze")
    ),
    *(
        f"hostile/test_stored_configs.py::test_what_{name}"
        for name in ("compares_a", "builds_a_stored_config_runs")
    ),
    "integration/test_learning.py::test_a_batch_is_learned_by_heart[missrec-transductive]",
    "integration/test_learning.py::test_a_batch_is_learned_by_heart[missrec_released-inductive]",
    "integration/test_learning.py::test_pretraining_with_other_domain_samplings",
    "integration/test_learning.py::test_full_recipe_trains_everything_from_the_loaded_weights",
    "integration/test_learning.py::test_finetuning_on_sampled_candidates_is_evaluated_on_all_items",
    "integration/test_outsiders.py::test_an_augmentation_of_ones_own",
    "integration/test_resume.py::test_resume_equals_uninterrupted[released]",
    "integration/test_resume.py::test_resume_within_an_epoch_equals_uninterrupted[tuned]",
    *(
        f"integration/test_resume_changes.py::test_{name}"
        for name in (
            "a_schedule_takes_the_changed_rates_and_options[cosine-warmup]",
            "a_schedule_takes_the_changed_rates_and_options[steps",
            "changed_rates_decay_and_betas_are_the_optimisers[one group]",
            "a_run_that_has_ended_changes_no_file[patient]",
        )
    ),
    "integration/test_results.py::test_where_features_reside_changes_nothing[host",
    *(
        f"integration/test_rivals_{name}"
        for name in (
            "attributes.py::test_fdsa_is_evaluated_again",
            "attributes.py::test_pretraining_goes_on_as_if_undisturbed",
            "causal.py::test_an_evaluation_repeats_the_test[gsasrec",
            "causal.py::test_an_evaluation_repeats_the_test[ligr",
            "causal.py::test_an_evaluation_repeats_the_test[sasrec_text",
            "causal.py::test_a_resumed_run_is_an_undisturbed_one",
            "content.py::test_reference_mode_pretrains",
            "gru_bert.py::test_an_evaluation_repeats_the_test[gru4rec",
            "gru_bert.py::test_on_other_items_the_items_start_fresh[bert4rec",
        )
    ),
    "integration/test_rivals_attributes.py::test_fdsa_goes_on_as_if_undisturbed",
    "integration/test_rivals_content.py::test_a_resumed_run_is_an_undisturbed_one_and_fits_nothing",
    "integration/test_rivals_gru_bert.py::test_a_resumed_run_is_an_undisturbed_one",
    "integration/test_second_network.py::test_losses_examples_scorers_and_phases[said7]",
    "integration/test_second_network.py::test_two_processes_are_one",
    *(
        f"modules/test_evaluation.py::test_evaluation_ranks_as_plain_loops_do[{domains}"
        for domains in ("one domain", "two domains--", "two domains-mask_history-inductive-released")
    ),
    *(
        f"modules/test_evaluation.py::test_evaluation_ranks_as_plain_loops_do[two domains-mask_history-{kind}"
        for kind in ("inductive-missrec", "transductive-missrec")
    ),
    *(
        f"modules/test_fixed_shapes.py::test_five_steps_are_the_same_and_wait_for_nothing[{kind}"
        for kind in ("sampled", "fine-tune")
    ),
    "modules/test_odd_sizes.py::test_losses_gradients_interests_and_metrics_are_those_of_one_process[2-finetune",
    "modules/test_sampled_step.py::test_losses_and_gradients_approach_the_exact_ones",
    "modules/test_schedules.py::test_a_resumed_run_has_the_rates_and_weights_of_an_undisturbed_one",
    "modules/test_odd_sizes.py::test_losses_gradients_interests_and_metrics_are_those_of_one_process[2-pretrain]",
    "modules/test_schedules.py::test_a_run_that_goes_on_to_another_end_takes_the_places_of_its_new_length",
    "noise/test_label_noise.py::test_nor_do_they_by_a_split_by_time[missrec_tuned]",
    "noise/test_label_noise.py::test_nor_do_they_by_any_preset[experiment=table2/",
    "noise/test_label_noise.py::test_nor_do_they_by_any_preset[experiment=table3/",
    "noise/test_label_noise.py::test_nor_do_they_by_any_preset[experiment=table5/",
    "noise/test_unbiased_sampling.py::test_the_denominator_is_right_on_average[per row-",
    "noise/test_unbiased_sampling.py::test_the_denominator_is_right_on_average[per row]",
    "prepare/test_features.py::test_killed_and_run_again",
    "prepare/test_outside_encoders.py::test_rows_shared_by_processes",
    "prepare/test_prepare_doctor.py::test_published_data_sets_are_known_by_their_files",
    *(
        f"report/test_interests_report.py::test_{name}"
        for name in ("a_checkpoint_and_another_place", "titles_and_moved_data", "several_domains_and_one_modality")
    ),
    "report/test_page_details.py::test_examples_have_the_ranks_of_the_test",
    "system/test_keops_trial.py::test_the_real_child_works_here",
    "test_architecture.py::test_help_does_not_wait_for_torch[eval",
    "tracking/test_other_loggers.py::test_csv_holds_config_numbers_and_tables",
    "noise/test_refit.py::test_baselines_keep_the_constants",
)
ALWAYS = ("in_eval", "a program", "id_tv", "/tv")  # of those, what runs all the same


def pytest_collection_modifyitems(items):
    """Mark what is slower; tests that train are silent about what says nothing, as the entry points are."""
    noise = importlib.import_module("missrec_pl.experiment.cli").NOISE
    for item in items:
        name = item.nodeid.removeprefix("tests/")
        if name.startswith(SLOWER) and not any(part in name for part in ALWAYS):
            item.add_marker(pytest.mark.slow)
        if {"compat", "integration", "noise", "tracking"} & set(item.path.parts):
            for message in noise:
                item.add_marker(pytest.mark.filterwarnings(f"ignore:{message}"))


def pytest_collection_finish():
    """What was imported stays: the collector need not look at it after every test."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure():
    gc.unfreeze()  # else libraries report at the end what they think has leaked


# Whole runs call the functions whose shapes these rooms' own tests check.
CHECKED = {"clustering", "compat", "data", "fitting", "losses", "metrics", "modules", "nn", "published", "testing"}


@pytest.fixture(autouse=True)
def _shapes_are_checked(request):
    room = request.path.relative_to(Path(__file__).parent).parts[0]
    jaxtyping.config.update("jaxtyping_disable", room not in CHECKED)


@pytest.fixture(autouse=True)
def _nothing_announced_yet():
    """What is logged once per process may be logged in every test."""
    importlib.import_module("missrec_pl.clustering.dpc_knn")._announce.cache_clear()


@pytest.fixture(scope="session")
def memory_domain():
    return MemoryDomain


@pytest.fixture(scope="session")
def synthetic_source(tmp_path_factory):
    """Makes sources of tiny domains; some items lack text, more lack the image."""
    cache = tmp_path_factory.mktemp("synthetic")

    def make(**changes):
        settings = {
            "num_domains": 1,
            "num_users": 36,
            "num_items": 30,
            "num_interests": 3,
            "min_length": 3,
            "max_length": 9,
            "dims": {"text": 7, "image": 5},
            "missing": {"text": 0.1, "image": 0.4},
        }
        source = SyntheticDomains(cache, **{**settings, **changes})
        source.prepare()
        return source

    return make


@pytest.fixture
def make_trainer(tmp_path):
    """A silent CPU trainer that writes nothing unless told to."""

    def make(*callbacks, **changes):
        settings = {
            "accelerator": "cpu",
            "devices": 1,
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "log_every_n_steps": 1,
            "use_distributed_sampler": False,
            "default_root_dir": tmp_path,
        }
        unknown = set(changes) - set(inspect.signature(L.Trainer.__init__).parameters)
        assert not unknown, unknown
        return L.Trainer(callbacks=list(callbacks), **{**settings, **changes})

    return make
