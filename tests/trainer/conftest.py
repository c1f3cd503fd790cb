from tests.trainer.tiny import make_params, project, vlm_folder

__all__ = ["make_params", "project", "vlm_folder"]
