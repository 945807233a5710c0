#include "programs/allowed_operators.h"

#include <algorithm>
#include <string>

namespace lossatlas {
namespace {

// The dispatcher would run any operator that is registered in this process, also those that open files (from_file),
// print, or keep a state. So a graph of a stranger may call what stands here and nothing else. Operators that draw
// random numbers (rand, dropout in training mode, normal_) are left out: a loss that differs from call to call has no
// landscape. dropout is there, as eval() leaves it in a graph as a call that changes nothing.
constexpr std::string_view kAllowed[] = {
    // Arithmetic, number by number.
    "abs add addcdiv addcmul ceil clamp clamp_max clamp_min clip copysign deg2rad div divide exp exp2 expm1 floor "
    "floor_divide fmod frac lerp log log10 log1p log2 logaddexp logaddexp2 maximum minimum mul multiply negative neg "
    "nan_to_num pow float_power positive rad2deg reciprocal remainder round rsqrt rsub sgn sign sqrt square sub "
    "subtract true_divide trunc xlogy __and__ __or__ __xor__ ",
    // Functions with names, and activations.
    "acos acosh asin asinh atan atan2 atanh cos cosh sin sinc sinh tan tanh sigmoid logit erf erfc erfinv digamma "
    "lgamma mvlgamma polygamma i0 special_erf special_erfc special_expit special_i0 special_log1p special_xlogy "
    "_safe_softmax celu elu gelu glu hardshrink hardsigmoid hardswish hardtanh leaky_relu log_sigmoid mish prelu relu "
    "relu6 rrelu "
    "selu silu softplus softshrink softsign threshold tanhshrink softmax _softmax log_softmax _log_softmax "
    "special_softmax special_log_softmax logsumexp ",
    // The same into the tensor that is given: the graph's own, or a copy.
    "abs_ add_ addcdiv_ addcmul_ clamp_ clamp_max_ clamp_min_ copy_ div_ elu_ exp_ fill_ floor_ hardswish_ hardtanh_ "
    "hardsigmoid_ leaky_relu_ log_ masked_fill_ mul_ neg_ pow_ reciprocal_ relu_ relu6_ round_ rsqrt_ sigmoid_ silu_ "
    "sin_ cos_ sqrt_ sub_ tanh_ threshold_ tril_ triu_ zero_ index_put_ index_add_ scatter_ scatter_add_ index_copy_ "
    "index_fill_ squeeze_ unsqueeze_ transpose_ t_ detach_ celu_ selu_ mish_ rrelu_ dropout_ feature_dropout_ ",
    // Comparisons and choices.
    "eq ne lt le gt ge equal not_equal less less_equal greater greater_equal isclose isfinite isinf isnan isposinf "
    "isneginf logical_and logical_not logical_or logical_xor bitwise_and bitwise_not bitwise_or bitwise_xor where "
    "masked_fill masked_select masked_scatter bucketize searchsorted heaviside ",
    // Sums and other reductions.
    "all any amax amin aminmax argmax argmin argsort count_nonzero cummax cummin cumprod cumsum logcumsumexp max mean "
    "median min mode nanmean nanmedian nansum norm linalg_vector_norm prod sort std std_mean sum topk kthvalue var "
    "var_mean unique_dim trace dist diff ",
    // Shapes and views.
    "adjoint alias as_strided atleast_1d atleast_2d atleast_3d broadcast_tensors broadcast_to cat chunk clone "
    "concat concatenate constant_pad_nd contiguous detach diag diag_embed diagonal dsplit dstack expand expand_as "
    "flatten flip fliplr flipud hsplit hstack lift_fresh lift_fresh_copy meshgrid mH mT matrix_H moveaxis movedim "
    "narrow numpy_T pad permute pixel_shuffle pixel_unshuffle channel_shuffle ravel repeat repeat_interleave reshape "
    "reshape_as resolve_conj resolve_neg roll rot90 select slice split split_with_sizes squeeze stack swapaxes "
    "swapdims t tensor_split tile transpose tril triu type_as unbind unflatten unfold unsqueeze unsafe_chunk "
    "unsafe_split unsafe_split_with_sizes _unsafe_view view view_as view_copy vsplit vstack im2col col2im "
    "select_scatter "
    "slice_scatter diagonal_scatter expand_copy permute_copy squeeze_copy unsqueeze_copy transpose_copy ",
    // Indices.
    "embedding embedding_bag _embedding_bag gather index index_add index_copy index_fill index_put index_select "
    "one_hot scatter scatter_add scatter_reduce take take_along_dim _unsafe_index _unsafe_index_put nonzero "
    "nonzero_static tril_indices triu_indices ",
    // Types and devices.
    "_to_copy to type_as bfloat16 double float half int long bool cast _autocast_to_reduced_precision "
    "_autocast_to_full_precision real imag view_as_real view_as_complex complex polar conj _conj _conj_physical "
    "angle ",
    // New tensors.
    "arange empty empty_like empty_strided eye full full_like linspace logspace new_empty new_full new_ones new_zeros "
    "ones ones_like scalar_tensor zeros zeros_like tensor _efficientzerotensor new_empty_strided ",
    // Products and linear algebra.
    "addbmm addmm addmv addr baddbmm bilinear bmm chain_matmul cdist cosine_similarity cov corrcoef cross det dot "
    "einsum ger inner inverse kron linalg_cholesky linalg_cross linalg_det linalg_eigh linalg_eigvalsh linalg_inv "
    "linalg_lu_factor linalg_matrix_norm linalg_matrix_power matrix_exp linalg_matrix_exp linalg_multi_dot linalg_norm "
    "linalg_pinv linalg_qr "
    "linalg_slogdet linalg_solve linalg_solve_triangular linalg_svd linalg_svdvals linalg_tensorinv logdet "
    "_cholesky_solve_helper cholesky cholesky_solve triangular_solve slogdet linear matmul mm mv outer "
    "pairwise_distance pdist renorm tensordot vdot vander ",
    // Fourier transforms.
    "fft_fft fft_fft2 fft_fftn fft_ifft fft_ifft2 fft_ifftn fft_rfft fft_rfft2 fft_rfftn fft_irfft fft_irfft2 "
    "fft_irfftn fft_hfft fft_ihfft fft_fftshift fft_ifftshift fft_fftfreq fft_rfftfreq stft istft ",
    // Convolutions, poolings, resizing.
    "conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d convolution _convolution "
    "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d _adaptive_avg_pool2d _adaptive_avg_pool3d "
    "adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d avg_pool1d avg_pool2d avg_pool3d lp_pool1d lp_pool2d "
    "max_pool1d max_pool1d_with_indices max_pool2d max_pool2d_with_indices max_pool3d max_pool3d_with_indices "
    "max_unpool2d max_unpool3d affine_grid_generator grid_sampler grid_sampler_2d grid_sampler_3d upsample_bicubic2d "
    "upsample_bilinear2d upsample_linear1d upsample_nearest1d upsample_nearest2d upsample_nearest3d "
    "upsample_trilinear3d _upsample_bicubic2d_aa _upsample_bilinear2d_aa _upsample_nearest_exact1d "
    "_upsample_nearest_exact2d _upsample_nearest_exact3d reflection_pad1d reflection_pad2d reflection_pad3d "
    "replication_pad1d replication_pad2d replication_pad3d ",
    // Normalizations. dropout: with train = False it gives its input.
    "batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training native_batch_norm cudnn_batch_norm "
    "_batch_norm_impl_index instance_norm group_norm native_group_norm layer_norm native_layer_norm rms_norm "
    "_fused_rms_norm local_response_norm normalize weight_norm _weight_norm _weight_norm_interface dropout "
    "feature_dropout alpha_dropout feature_alpha_dropout native_dropout ",
    // Attention and recurrent networks.
    "scaled_dot_product_attention _scaled_dot_product_attention_math _scaled_dot_product_flash_attention_for_cpu "
    "_scaled_dot_product_flash_attention _scaled_dot_product_efficient_attention _native_multi_head_attention "
    "_transformer_encoder_layer_fwd gru gru_cell lstm lstm_cell rnn_relu rnn_relu_cell rnn_tanh rnn_tanh_cell "
    "_thnn_fused_lstm_cell _thnn_fused_gru_cell ",
    // Losses.
    "binary_cross_entropy binary_cross_entropy_with_logits cosine_embedding_loss cross_entropy_loss ctc_loss "
    "gaussian_nll_loss hinge_embedding_loss huber_loss kl_div l1_loss margin_ranking_loss mse_loss multi_margin_loss "
    "multilabel_margin_loss nll_loss nll_loss2d nll_loss_forward nll_loss2d_forward nll_loss_nd poisson_nll_loss "
    "smooth_l1_loss soft_margin_loss triplet_margin_loss ",
    // Backward passes that a loss with derivatives in it holds (physics-informed networks).
    "_log_softmax_backward_data _softmax_backward_data tanh_backward sigmoid_backward gelu_backward silu_backward "
    "threshold_backward softplus_backward elu_backward leaky_relu_backward hardtanh_backward mse_loss_backward "
    "native_layer_norm_backward convolution_backward embedding_dense_backward select_backward slice_backward "
    "unfold_backward index_select_backward sum_to_size _reshape_alias log_sigmoid_forward log_sigmoid_backward "
    "hardswish_backward hardsigmoid_backward mish_backward glu_backward native_batch_norm_backward "
    "native_group_norm_backward avg_pool2d_backward max_pool2d_with_indices_backward _adaptive_avg_pool2d_backward "
    "nll_loss_backward nll_loss2d_backward smooth_l1_loss_backward huber_loss_backward binary_cross_entropy_backward "
    "upsample_nearest2d_backward upsample_bilinear2d_backward upsample_bicubic2d_backward grid_sampler_2d_backward "
    "reflection_pad2d_backward replication_pad2d_backward _thnn_fused_lstm_cell_backward_impl ",
    // What sizes and numbers are.
    "sym_size sym_numel sym_stride sym_storage_offset size numel item _local_scalar_dense is_nonzero "};

constexpr std::string_view kChecks =
    " _assert_async _assert_scalar _assert_tensor_metadata _functional_assert_async _functional_assert_scalar "
    "_functional_sym_constrain_range _functional_sym_constrain_range_for_size sym_constrain_range "
    "sym_constrain_range_for_size ";

bool has_word(std::string_view words, std::string_view word) {
  for (std::size_t at = words.find(word); at != words.npos; at = words.find(word, at + 1)) {
    const std::size_t end = at + word.size();
    if ((at == 0 || words[at - 1] == ' ') && (end == words.size() || words[end] == ' ')) return true;
  }
  return false;
}

}  // namespace

bool is_allowed_operator(std::string_view name) {
  return !name.empty() && std::any_of(std::begin(kAllowed), std::end(kAllowed),
                                      [&](std::string_view words) { return has_word(words, name); });
}

bool is_check(std::string_view name) { return !name.empty() && has_word(kChecks, name); }

}  // namespace lossatlas
