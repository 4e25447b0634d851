//! Declares stored forms, exhaustively.

/// Declares forms of structs and enums.
///
/// ```text
/// forms! {
///     struct Origin { event, source, time }      // fields in the order they are written
///     newtype Timestamp;                         // a tuple of one: as what it holds
///     enum Handling { 0 Live, 1 Late }           // variants with the tags they are written by
///     enum Subject { 0 Key(key), 1 Owner { tenant, hash } }
/// }
/// ```
///
/// Tags are never used for anything else, also when a variant is gone.
macro_rules! forms {
    () => {};
    (struct $name:ident { $($field:ident),* $(,)? } $($rest:tt)*) => {
        impl $crate::form::Form for $name {
            fn write(&self, out: &mut Vec<u8>) {
                let Self { $($field),* } = self;
                $($crate::form::Form::write($field, out);)*
            }

            fn read(
                from: &mut $crate::form::Reader<'_>,
            ) -> Result<Self, $crate::form::FormError> {
                Ok(Self { $($field: $crate::form::Form::read(from)?),* })
            }

            fn to_value(&self) -> serde_json::Value {
                let Self { $($field),* } = self;
                $crate::form::value::members_value(vec![
                    $((stringify!($field), $crate::form::Form::to_value($field))),*
                ])
            }

            fn from_value(
                value: &serde_json::Value,
            ) -> Result<Self, $crate::form::ValueError> {
                let members = $crate::form::value::object(value)?;
                Ok(Self { $($field: $crate::form::macros::member!(members, $field)),* })
            }
        }

        #[cfg(test)]
        impl $crate::form::sample::Sample for $name {
            fn sample(seed: &mut $crate::form::sample::Seed) -> Self {
                Self { $($field: $crate::form::sample::Sample::sample(seed)),* }
            }
        }
        $crate::form::forms! { $($rest)* }
    };
    (newtype $name:ident; $($rest:tt)*) => {
        impl $crate::form::Form for $name {
            fn write(&self, out: &mut Vec<u8>) {
                let Self(inner) = self;
                $crate::form::Form::write(inner, out);
            }

            fn read(
                from: &mut $crate::form::Reader<'_>,
            ) -> Result<Self, $crate::form::FormError> {
                Ok(Self($crate::form::Form::read(from)?))
            }

            fn to_value(&self) -> serde_json::Value {
                let Self(inner) = self;
                $crate::form::Form::to_value(inner)
            }

            fn from_value(
                value: &serde_json::Value,
            ) -> Result<Self, $crate::form::ValueError> {
                Ok(Self($crate::form::Form::from_value(value)?))
            }
        }

        #[cfg(test)]
        impl $crate::form::sample::Sample for $name {
            fn sample(seed: &mut $crate::form::sample::Seed) -> Self {
                Self($crate::form::sample::Sample::sample(seed))
            }
        }
        $crate::form::forms! { $($rest)* }
    };
    (
        enum $name:ident { $(
            $tag:literal $variant:ident
            $(( $($unnamed:ident),+ ))?
            $({ $($named:ident),+ $(,)? })?
        ),+ $(,)? }
        $($rest:tt)*
    ) => {
        impl $crate::form::Form for $name {
            fn write(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$variant $(( $($unnamed),+ ))? $({ $($named),+ })? => {
                        out.push($tag);
                        $($($crate::form::Form::write($unnamed, out);)+)?
                        $($($crate::form::Form::write($named, out);)+)?
                    })+
                }
            }

            fn read(
                from: &mut $crate::form::Reader<'_>,
            ) -> Result<Self, $crate::form::FormError> {
                let at = from.at();
                match from.byte()? {
                    $($tag => Ok(Self::$variant
                        $(( $($crate::form::macros::unnamed!($unnamed, from)),+ ))?
                        $({ $($named: $crate::form::Form::read(from)?),+ })?
                    ),)+
                    tag => Err($crate::form::FormError::UnknownTag {
                        at,
                        of: stringify!($name),
                        tag,
                    }),
                }
            }

            fn to_value(&self) -> serde_json::Value {
                match self {
                    $(Self::$variant $(( $($unnamed),+ ))? $({ $($named),+ })? =>
                        $crate::form::macros::variant_value!(
                            $variant $(( $($unnamed),+ ))? $({ $($named),+ })?
                        ),)+
                }
            }

            fn from_value(
                value: &serde_json::Value,
            ) -> Result<Self, $crate::form::ValueError> {
                let content = $crate::form::Content::of(value)?;
                $(if content.is(stringify!($variant)) {
                    let read: Result<Self, $crate::form::ValueError> =
                        $crate::form::macros::variant!(
                            content, $variant $(( $($unnamed),+ ))? $({ $($named),+ })?
                        );
                    return read.map_err(|error| error.within(content.word()));
                })+
                Err($crate::form::ValueError::new(
                    concat!("a kind of ", stringify!($name)),
                    value,
                ))
            }
        }

        #[cfg(test)]
        impl $crate::form::sample::Sample for $name {
            fn sample(seed: &mut $crate::form::sample::Seed) -> Self {
                let variants: &[fn(&mut $crate::form::sample::Seed) -> Self] = &[
                    $(|_seed| Self::$variant
                        $(( $($crate::form::macros::sampled!($unnamed, _seed)),+ ))?
                        $({ $($named: $crate::form::sample::Sample::sample(_seed)),+ })?,)+
                ];
                seed.pick(variants)(seed)
            }
        }
        $crate::form::forms! { $($rest)* }
    };
}

/// Reads one unnamed field; the name serves to repeat.
macro_rules! unnamed {
    ($field:ident, $from:ident) => {
        $crate::form::Form::read($from)?
    };
}

/// Makes up one unnamed field; the name serves to repeat.
#[cfg(test)]
macro_rules! sampled {
    ($field:ident, $seed:ident) => {
        $crate::form::sample::Sample::sample($seed)
    };
}

macro_rules! member {
    ($members:ident, $field:ident) => {
        $crate::form::Form::from_value($crate::form::value::member($members, stringify!($field)))
            .map_err(|error| $crate::form::ValueError::within(error, stringify!($field)))?
    };
}

macro_rules! variant_value {
    ($variant:ident) => {
        serde_json::Value::String($crate::form::value::snake(stringify!($variant)))
    };
    ($variant:ident ( $($field:ident),+ )) => {
        $crate::form::value::list_variant(
            stringify!($variant),
            vec![$($crate::form::Form::to_value($field)),+],
        )
    };
    ($variant:ident { $($field:ident),+ }) => {
        $crate::form::value::word_variant(
            stringify!($variant),
            $crate::form::value::members_value(vec![
                $((stringify!($field), $crate::form::Form::to_value($field))),+
            ]),
        )
    };
}

/// A closure, so that `?` ends the variant alone and the word can be put before the path.
macro_rules! variant {
    ($content:ident, $variant:ident) => {
        $content.nothing().map(|()| Self::$variant)
    };
    ($content:ident, $variant:ident ( $($field:ident),+ )) => {
        (|| {
            let list = $content.list([$(stringify!($field)),+].len())?;
            let mut fields = list.iter();
            Ok(Self::$variant($({
                let $field = fields.next().unwrap_or(&serde_json::Value::Null);
                $crate::form::Form::from_value($field)?
            }),+))
        })()
    };
    ($content:ident, $variant:ident { $($field:ident),+ }) => {
        (|| {
            let members = $content.members()?;
            Ok(Self::$variant { $($field: $crate::form::macros::member!(members, $field)),+ })
        })()
    };
}

#[cfg(test)]
pub(crate) use sampled;
pub(crate) use {forms, member, unnamed, variant, variant_value};
