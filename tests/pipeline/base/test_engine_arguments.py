"""Every engine argument of vLLM is used or refused, and reading `params.yaml` says which."""

from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.base.engine_arguments import OWN, REFUSED, TEXT
from pipeline.base.params import LlmParams, SpeedParams, load_params
from tests.project import ROOT

PARAMS = load_params(ROOT / "params.yaml")
# vLLM's own, of speed, memory, machines, caches and logs: a new version brings new ones, to be judged
_OTHERS = """
    aggregate_engine_logging all2all_backend async_scheduling attention_backend attention_config
    aux_output_config block_size collect_detailed_traces compilation_config cp_kv_cache_interleave_size
    cpu_distributed_timeout_seconds cpu_offload_gb cpu_offload_params cudagraph_capture_sizes
    cudagraph_metrics custom_histogram_buckets data_parallel_address data_parallel_backend
    data_parallel_external_lb data_parallel_hybrid_lb data_parallel_multi_port_external_lb
    data_parallel_rank data_parallel_rpc_port data_parallel_size data_parallel_size_local
    data_parallel_start_rank dbo_decode_token_threshold dbo_prefill_token_threshold dcp_comm_backend
    dcp_kv_cache_interleave_size dcp_q_replicate decode_context_parallel_size device_ids
    disable_cascade_attn disable_chunked_mm_input disable_custom_all_reduce
    disable_hybrid_kv_cache_manager disable_log_stats disable_nccl_for_dp_synchronization
    distributed_executor_backend distributed_timeout_seconds download_dir dp_sync_interval
    ec_manager_config ec_transfer_config elastic_ep_max_dp_size enable_batch_sharded_sampling
    enable_chunked_prefill enable_cumem_allocator enable_dbo enable_elastic_ep enable_ep_weight_filter
    enable_eplb enable_expert_parallel enable_fault_tolerance enable_flashinfer_autotune enable_hc_sp
    enable_layerwise_nvtx_tracing enable_logging_iteration_details enable_mamba_shared_prefix_checkpoint
    enable_mfu_metrics enable_mm_processor_stats enable_nccl_comm_suspend enable_prefix_caching
    enable_shm_tensor_arena enable_sleep_mode enforce_eager engram_config eplb_config
    expert_placement_strategy fail_on_environ_validation fault_tolerance_config fully_sharded_loras
    gdn_prefill_backend gpu_memory_utilization ignore_patterns ir_op_priority jit_monitor_mode
    jit_monitor_verbose kda_decode_backend kda_prefill_backend kernel_config kv_cache_memory_bytes
    kv_cache_metrics kv_cache_metrics_sample kv_events_config kv_offloading_backend kv_offloading_size
    kv_sharing_fast_prefill kv_transfer_config language_model_only limit_mm_per_prompt linear_backend
    log_config_file log_level logging_config long_prefill_token_threshold
    long_prefill_token_threshold_adaptive mamba_backend mamba_block_size mamba_cache_mode mamba_config
    mamba_ssu_algorithm master_addr master_port max_cpu_loras max_cudagraph_capture_size max_loras
    max_num_active_seqs max_num_batched_tokens max_num_scheduled_tokens max_num_seqs
    max_parallel_loading_workers mm_encoder_attn_backend mm_encoder_tp_mode mm_hasher_algorithm
    mm_ipc_gpu_memory_gb mm_processor_cache_gb mm_processor_cache_type mm_processor_device
    mm_shm_cache_max_object_size_mb mm_tensor_ipc model_loader_extra_config moe_backend nnodes node_rank
    num_gpu_blocks_override numa_bind numa_bind_cpus numa_bind_nodes offload_backend offload_group_size
    offload_num_in_group offload_params offload_prefetch_step optimization_level otlp_traces_endpoint
    performance_mode pipeline_parallel_size prefill_context_parallel_size prefill_schedule_interval
    prefix_cache_retention_interval prefix_caching_hash_algo prefix_match_unit profiler_config
    pt_load_map_location ray_workers_use_nsight replayssm_buffer_len safetensors_load_strategy
    safetensors_prefetch_block_size safetensors_prefetch_num_threads scheduler_cls
    scheduler_reserve_full_isl show_hidden_metrics_for_version shutdown_timeout skip_mm_profiling
    sleep_mode_offload_cudagraph sleep_preserve_parameter_names sparse_indexer_topk_backend
    specialize_active_lora stream_interval swa_bounded_replay tensor_parallel_size ubatch_size
    use_replayssm use_tqdm_on_load watermark worker_cls worker_extension_cls
"""
OTHERS = set(_OTHERS.split())
NOT_OF_VLLM = {"chat_template", "lora"}  # in `TEXT`: this project's own
_OF_ADAPTERS = (
    "enable_lora", "enable_mixed_moe_lora_format", "enable_moe_shared_loras", "enable_tower_connector_lora",
    "lora_dtype", "lora_target_modules", "max_lora_rank",
)  # fmt: skip
_OF_SCHEMAS = ("reasoning_parser", "reasoning_parser_plugin", "structured_outputs_config")
BY: dict[str, dict[str, Any]] = {  # what makes an argument of `TEXT` have an effect
    **{name: {"engine_args": {"lora": "/adapter"}} for name in _OF_ADAPTERS},
    **{name: {"output": "json"} for name in _OF_SCHEMAS},
    "code_revision": {"trust_remote_code": True},
}


def _llm(**changed: Any) -> LlmParams:
    return LlmParams.model_validate(PARAMS.llm.model_dump() | changed)


def _speed(**llm: Any) -> SpeedParams:
    return SpeedParams.model_validate(PARAMS.speed.model_dump() | {"llm": llm})


def test_every_argument_of_vllm_has_been_judged() -> None:
    from vllm import EngineArgs

    known = set(EngineArgs.__dataclass_fields__)
    assert known - {*OWN, *REFUSED, *TEXT} == OTHERS
    assert {*REFUSED, *TEXT} - known == NOT_OF_VLLM
    assert not (OWN.keys() & REFUSED.keys() or TEXT & {*OWN, *REFUSED})


@pytest.mark.parametrize("name", sorted({*OWN, *REFUSED}))
def test_one_without_effect_is_refused_with_the_reason(name: str) -> None:
    said = f"'{name}' is a parameter of its own: set {OWN[name]}" if name in OWN else REFUSED.get(name, "")
    for make in (lambda: _llm(engine_args={name: 1}), lambda: _speed(**{name: 1})):
        with pytest.raises(ValidationError) as caught:
            make()
        assert f"'{name}'" in str(caught.value) and said and said in str(caught.value)


@pytest.mark.parametrize("name", sorted(TEXT))
def test_one_that_changes_texts_is_taken_where_it_counts_in_the_row_key(name: str) -> None:
    by = BY.get(name, {})
    arguments = {name: "x", **by.get("engine_args", {})}
    assert _llm(**by | {"engine_args": arguments}).engine_args[name] == "x"
    with pytest.raises(ValidationError, match=f"'{name}' can change texts: move it to llm.engine_args"):
        _speed(**{name: "x"})
    if by:
        with pytest.raises(ValidationError, match=f"'{name}' in engine_args would have no effect"):
            _llm(engine_args={name: "x"})


@pytest.mark.parametrize("name", sorted(OTHERS))
def test_one_of_speed_is_taken_in_both_places(name: str) -> None:
    assert _speed(**{name: 1}).llm == _llm(engine_args={name: 1}).engine_args == {name: 1}


@pytest.mark.parametrize(
    ("field", "value"),
    [("engine_args", {"dtype": "float32"}), ("revision", "v1"), ("trust_remote_code", True)],
)
def test_what_a_server_was_started_with_is_refused_beside_it(field: str, value: Any) -> None:
    server = {"engine": "endpoint", "endpoint": "http://localhost:8000/v1"}
    assert _llm(**server, sampling={"top_k": 5}, chat_template_kwargs={"a": 1}).engine == "endpoint"
    with pytest.raises(ValidationError, match=rf"llm\.{field} would have no effect with engine 'endpoint'"):
        _llm(**server, **{field: value})


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"messages": []}, "'messages' is given to the template"),
        ({"add_generation_prompt": False}, "'add_generation_prompt'"),
        ({"tokenize": True}, "'tokenize'"),
        ({"enable thinking": False}, "cannot be the name"),
    ],
)
def test_variables_that_a_template_cannot_get_are_refused(value: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        _llm(chat_template_kwargs=value)
    taken = {"enable_thinking": False, "budget": 5, "nested": {"a": [None, "b"]}}
    assert _llm(chat_template_kwargs=taken).chat_template_kwargs == taken
