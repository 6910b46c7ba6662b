{{/* Name of the chart, as in app.kubernetes.io/name. */}}
{{- define "privacy-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Name of the objects of this release. 52 characters leave room for what Kubernetes and the templates add. */}}
{{- define "privacy-operator.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{/* Name of cluster-wide objects: two releases in two namespaces must not meet. */}}
{{- define "privacy-operator.clusterName" -}}
{{- printf "%s.%s" (include "privacy-operator.fullname" .) .Release.Namespace }}
{{- end }}

{{- define "privacy-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "privacy-operator.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.create is false: set serviceAccount.name to one that exists in the namespace of the release" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "privacy-operator.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{- define "privacy-operator.workerImage" -}}
{{- default (include "privacy-operator.image" .) .Values.worker.image }}
{{- end }}

{{- define "privacy-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "privacy-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "privacy-operator.labels" -}}
{{ include "privacy-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* The user that the API server sees. */}}
{{- define "privacy-operator.userName" -}}
{{- printf "system:serviceaccount:%s:%s" .Release.Namespace (include "privacy-operator.serviceAccountName" .) }}
{{- end }}

{{/* Limits a binding to the namespaces that this release watches. */}}
{{- define "privacy-operator.watchedNamespaces" -}}
{{- with .Values.watchNamespaces -}}
matchResources:
  namespaceSelector:
    matchExpressions:
      - key: kubernetes.io/metadata.name
        operator: In
        values:
          {{- toYaml . | nindent 10 }}
{{- end }}
{{- end }}
