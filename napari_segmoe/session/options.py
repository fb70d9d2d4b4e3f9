"""What a user can set about a session."""

from pydantic import BaseModel, ConfigDict, Field


class SegmentOptions(BaseModel):
    """How prompts are answered and results are drawn."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    predict_on_prompt: bool = Field(
        default=True,
        title="Segment on every prompt",
        description="Off: press Segment (Return) once all prompts are placed.",
    )
    smallest_object_px: int = Field(
        default=20,
        ge=0,
        le=100_000,
        title="Smallest object (px)",
        description="Smaller objects are left out when the whole image is segmented.",
    )
    fill_opacity: float = Field(
        default=0.35,
        ge=0,
        le=1,
        title="Fill opacity",
        description="How strongly the inside of a mask is tinted.",
    )
