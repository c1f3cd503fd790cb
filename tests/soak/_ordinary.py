"""Promises that ordinary tests hold, and these tests; tests/test_reliability.py checks that they exist."""

ORDINARY = {
    "`lempo caption`, killed with -9 again and again, ends as a run that nobody disturbs": (
        "tests/stages/test_killed_stage.py::test_killed_again_and_again_it_ends_as_a_run_that_nobody_disturbs",
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
