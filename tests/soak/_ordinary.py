"""Promises that ordinary tests hold, and these tests; tests/test_reliability.py checks that they exist."""

ORDINARY = {
    "`lempo caption`, killed with -9 again and again, ends as a run that nobody disturbs": (
        "tests/stages/test_killed_stage.py::test_killed_again_and_again_it_ends_as_a_run_that_nobody_disturbs",
    ),
    "A process that is stopped (SIGSTOP) while it is waited for is ended after 30 s, and no row is lost": (
        "tests/pipeline/base/test_guard.py::test_one_that_is_stopped_while_it_is_waited_for_is_killed",
        "tests/pipeline/llm/test_engine_death.py::"
        "test_the_end_of_a_core_is_noticed_and_it_is_started_again_and_no_row_is_lost",
    ),
    "A pipe or a device in place of a file holds no reader up": (
        "tests/test_fuzz_targets.py::test_a_pipe_or_a_device_in_place_of_a_file_holds_nothing_up",
        "tests/test_pipes.py::test_a_pipe_or_a_device_holds_no_reader_up",
    ),
    "vLLM renders no template of a model as it starts": (
        "tests/pipeline/llm/test_vllm_engine.py::"
        "test_a_template_that_hangs_where_vllm_warms_up_is_not_rendered_there",
    ),
    "Ctrl-C keeps every generated text and leaves no process": (
        "tests/stages/test_killed_stage.py::test_ctrl_c_ends_it_with_one_notice_and_the_cache_intact",
    ),
    "The rows of a JSON file are read as the standard library reads them, however it is cut into pieces": (
        "tests/pipeline/corpus/test_json_rows.py::test_rows_are_those_of_json",
    ),
    "An image id or a file name cannot lead out of the dataset's folder": (
        "tests/pipeline/corpus/test_image_files.py::test_an_id_cannot_lead_out_of_the_folder",
    ),
}
